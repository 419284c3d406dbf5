"""A breaker spares a peer that is away, tries again alone, and learns nothing from a call that was cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.kit.errors import PermanentError, TransientError
from services.kit.resilience import Backoff, Breaker
from tests.fakes.kit.clock import HeldSeconds


class Peer:
    """The other side: answers or fails as told, and counts who asks."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0
        self.hang: asyncio.Event | None = None

    async def ask(self) -> str:
        """Answer."""
        self.calls += 1
        if self.hang is not None:
            await self.hang.wait()
        if self.error is not None:
            raise self.error
        return "here"


@pytest.fixture
def peer() -> Peer:
    """A peer that is well."""
    return Peer()


@pytest.fixture
def held() -> HeldSeconds:
    """The breaker's clock."""
    return HeldSeconds(1000.0)


@pytest.fixture
def breaker(held: HeldSeconds) -> Breaker:
    """Opens after two failures, for ten seconds."""
    return Breaker("peer", fail_max=2, reset_seconds=10, monotonic=held)


async def fail(breaker: Breaker, peer: Peer, error: BaseException, times: int = 1) -> None:
    """Make so many calls that fail with `error`."""
    peer.error = error
    for _ in range(times):
        with pytest.raises(type(error)):
            await breaker.call(peer.ask)
    peer.error = None


async def open_up(breaker: Breaker, peer: Peer) -> None:
    """Fail until the breaker is open."""
    await fail(breaker, peer, TransientError("away"), times=2)
    assert breaker.state == "open"


async def start(call: Callable[[], Awaitable[str]]) -> asyncio.Task[str]:
    """A call under way."""
    task = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    return task


async def test_an_answer_passes_through(breaker: Breaker, peer: Peer) -> None:
    assert await breaker.call(peer.ask) == "here"
    assert breaker.state == "closed"


@pytest.mark.parametrize("error", [TransientError("away"), ConnectionRefusedError(), TimeoutError()])
async def test_it_opens_after_failures_in_a_row_and_spares_the_peer(
    error: Exception, breaker: Breaker, peer: Peer, held: HeldSeconds
) -> None:
    await fail(breaker, peer, error, times=2)
    held.now += 4
    with pytest.raises(TransientError, match="peer is away") as refused:
        await breaker.call(peer.ask)
    assert refused.value.retry_after == pytest.approx(6)
    assert peer.calls == 2
    assert REGISTRY.get_sample_value("taxiway_breaker_open", {"breaker": "peer"}) == 1


async def test_failures_that_are_not_in_a_row_do_not_open_it(breaker: Breaker, peer: Peer) -> None:
    for _ in range(3):
        await fail(breaker, peer, TransientError("away"))
        await breaker.call(peer.ask)
    assert breaker.state == "closed"


@pytest.mark.parametrize("error", [PermanentError("no"), ValueError("bad")])
async def test_a_refusal_is_an_answer(error: Exception, breaker: Breaker, peer: Peer) -> None:
    await fail(breaker, peer, error, times=5)
    assert breaker.state == "closed"


async def test_after_the_pause_a_trial_that_succeeds_closes_it(breaker: Breaker, peer: Peer, held: HeldSeconds) -> None:
    await open_up(breaker, peer)
    held.now += 10
    assert await breaker.call(peer.ask) == "here"
    assert breaker.state == "closed"
    assert REGISTRY.get_sample_value("taxiway_breaker_open", {"breaker": "peer"}) == 0


async def test_a_trial_that_fails_opens_it_for_another_pause(breaker: Breaker, peer: Peer, held: HeldSeconds) -> None:
    await open_up(breaker, peer)
    held.now += 10
    await fail(breaker, peer, TransientError("still away"))
    held.now += 9
    with pytest.raises(TransientError, match="circuit open"):
        await breaker.call(peer.ask)
    assert peer.calls == 3


async def test_one_trial_at_a_time(breaker: Breaker, peer: Peer, held: HeldSeconds) -> None:
    await open_up(breaker, peer)
    held.now += 10
    peer.hang = asyncio.Event()
    trial = await start(lambda: breaker.call(peer.ask))
    for _ in range(3):
        with pytest.raises(TransientError, match="circuit open"):
            await breaker.call(peer.ask)
    peer.hang.set()
    assert await trial == "here"
    assert (peer.calls, breaker.state) == (3, "closed")


async def test_a_cancelled_call_is_neither_failure_nor_success(breaker: Breaker, peer: Peer) -> None:
    await fail(breaker, peer, TransientError("away"))
    peer.hang = asyncio.Event()
    for _ in range(3):
        call = await start(lambda: breaker.call(peer.ask))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert breaker.state == "closed", "a cancelled call counted as a failure"
    peer.hang = None
    await fail(breaker, peer, TransientError("away"))
    assert breaker.state == "open", "a cancelled call counted as a success"


async def test_a_cancelled_trial_leaves_the_place_to_the_next(breaker: Breaker, peer: Peer, held: HeldSeconds) -> None:
    await open_up(breaker, peer)
    held.now += 10
    peer.hang = asyncio.Event()
    trial = await start(lambda: breaker.call(peer.ask))
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert breaker.state == "half-open"
    peer.hang = None
    assert await breaker.call(peer.ask) == "here"
    assert breaker.state == "closed"


async def test_a_call_from_before_has_nothing_to_say(breaker: Breaker, peer: Peer) -> None:
    peer.hang = asyncio.Event()
    slow = await start(lambda: breaker.call(peer.ask))
    hang, peer.hang = peer.hang, None
    await open_up(breaker, peer)
    hang.set()
    assert await slow == "here"
    assert breaker.state == "open"


async def test_a_failure_from_before_does_not_lengthen_the_pause(
    breaker: Breaker, peer: Peer, held: HeldSeconds
) -> None:
    peer.hang = asyncio.Event()
    slow = await start(lambda: breaker.call(peer.ask))
    hang, peer.hang = peer.hang, None
    await open_up(breaker, peer)
    held.now += 9
    peer.error = TransientError("away")
    hang.set()
    with pytest.raises(TransientError, match="away"):
        await slow
    peer.error = None
    held.now += 1
    assert await breaker.call(peer.ask) == "here"


async def test_a_call_from_before_does_not_speak_for_the_trial(breaker: Breaker, peer: Peer, held: HeldSeconds) -> None:
    peer.hang = asyncio.Event()
    slow = await start(lambda: breaker.call(peer.ask))
    first, peer.hang = peer.hang, None
    await open_up(breaker, peer)
    held.now += 10
    peer.hang = asyncio.Event()
    trial = await start(lambda: breaker.call(peer.ask))
    first.set()
    await slow
    assert breaker.state == "half-open"
    peer.hang.set()
    await trial
    assert breaker.state == "closed"


async def test_failures_are_counted_and_refusals_to_call_are_not(peer: Peer, held: HeldSeconds) -> None:
    breaker = Breaker("counted", fail_max=2, monotonic=held)
    await open_up(breaker, peer)
    for _ in range(5):
        with pytest.raises(TransientError):
            await breaker.call(peer.ask)
    assert REGISTRY.get_sample_value("taxiway_breaker_failures_total", {"breaker": "counted"}) == 2


@given(attempt=st.integers(0, 10_000), share=st.floats(0, 1))
def test_a_backoff_stays_within_its_bounds(attempt: int, share: float) -> None:
    backoff = Backoff(0.1, 5.0, uniform=lambda low, high: low + share * (high - low))
    assert 0 <= backoff.seconds(attempt) <= 5.0


def test_a_backoff_doubles_up_to_its_cap() -> None:
    backoff = Backoff(0.1, 5.0, uniform=lambda _, high: high)
    assert [backoff.seconds(attempt) for attempt in range(1, 8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


async def test_waiting_takes_as_long_as_it_says() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await Backoff(0.01, 0.02, uniform=lambda _, high: high).wait(5)
    assert loop.time() - started >= 0.02
