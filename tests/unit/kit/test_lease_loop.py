"""The loop works while it holds the lease, lets go when it lost it, and gives it back when it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from services.kit.errors import LeaseLostError, TransientError
from services.kit.observability.health import STALE_SECONDS, Heartbeat
from services.kit.persistence import lease_loop
from services.kit.persistence.lease_loop import LeaseLoop
from services.kit.persistence.leases import RELEASE, RENEW, Lease
from tests.fakes.kit.clock import HeldSeconds
from tests.fakes.kit.leases import InMemoryLeases

NAME = "work"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop asks again after a moment, not after a second."""
    monkeypatch.setattr(lease_loop, "RETRY_SECONDS", 0.005)
    monkeypatch.setattr(lease_loop, "RENEW_SECONDS", 0.01)


class Work:
    """What is done under the lease; fails as told."""

    def __init__(self) -> None:
        self.leases: list[Lease] = []
        """The lease of each tick."""
        self.took_over: list[Lease] = []
        self.failure: Exception | None = None
        """Raised by the next tick, once."""
        self.hang: asyncio.Event | None = None

    async def tick(self, lease: Lease) -> None:
        """One round."""
        self.leases.append(lease)
        if self.hang is not None:
            await self.hang.wait()
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    async def take_over(self, lease: Lease) -> None:
        """Before the first round under a lease."""
        assert self.leases == [] or self.leases[-1] != lease
        self.took_over.append(lease)


@pytest.fixture
def leases() -> InMemoryLeases:
    """A lease table on a clock that stands still."""
    return InMemoryLeases()


@pytest.fixture
def work() -> Work:
    """Work that goes well."""
    return Work()


async def eventually(is_so: Callable[[], bool]) -> None:
    """Let the loop run until it is so."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is waited for happens inside the loop under test
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(loop: LeaseLoop) -> AsyncIterator[asyncio.Event]:
    """The loop for the length of the block; it must end by itself when told."""
    stopping = asyncio.Event()
    task = asyncio.create_task(loop.run(stopping))
    try:
        yield stopping
        stopping.set()
        async with asyncio.timeout(5):
            await task
    finally:
        task.cancel()


def metric(name: str, lease: str = NAME) -> float:
    """A metric of the lease; 0 before it was first set."""
    return REGISTRY.get_sample_value(name, {"lease": lease}) or 0.0


async def test_it_ticks_at_once_and_then_at_its_interval(leases: InMemoryLeases, work: Work) -> None:
    loop = LeaseLoop(leases.database, NAME, "me", work.tick, interval=0.01, took_over=work.take_over)
    async with running(loop):
        await eventually(lambda: len(work.leases) >= 3)
    assert set(work.leases) == {Lease(NAME, "me", 1)}
    assert work.took_over == [Lease(NAME, "me", 1)], "once, before the first tick"


async def test_it_ticks_when_it_is_woken_however_long_its_interval(leases: InMemoryLeases, work: Work) -> None:
    wake = asyncio.Event()
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick, interval=3600, wake=wake)):
        await eventually(lambda: len(work.leases) == 1)
        wake.set()
        await eventually(lambda: len(work.leases) == 2)
        assert not wake.is_set(), "the call was answered"


async def test_told_to_stop_it_ends_its_round_and_gives_the_lease_back(leases: InMemoryLeases, work: Work) -> None:
    work.hang = asyncio.Event()
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick)) as stopping:
        await eventually(lambda: len(work.leases) == 1)
        assert metric("taxiway_lease_held") == 1
        stopping.set()
        await asyncio.sleep(0.02)
        assert leases.rows[NAME].expires_at > 0, "the round is still under way"
        work.hang.set()
    assert leases.rows[NAME].expires_at == float("-inf")
    assert len(work.leases) == 1
    assert metric("taxiway_lease_held") == 0


async def test_while_another_holds_it_nothing_is_done(leases: InMemoryLeases, work: Work) -> None:
    now = HeldSeconds()
    leases = InMemoryLeases(now)
    first, second = Work(), Work()
    async with running(LeaseLoop(leases.database, NAME, "first", first.tick, interval=0.01)):
        await eventually(lambda: bool(first.leases))
        async with running(LeaseLoop(leases.database, NAME, "second", second.tick, interval=0.01)):
            await eventually(lambda: len(first.leases) >= 3)
            assert second.leases == []
    assert leases.rows[NAME].holder == "first"


async def test_what_was_given_back_is_taken_up_under_the_next_epoch(leases: InMemoryLeases) -> None:
    first, second = Work(), Work()
    async with running(LeaseLoop(leases.database, NAME, "first", first.tick, interval=0.01)):
        await eventually(lambda: bool(first.leases))
    async with running(LeaseLoop(leases.database, NAME, "second", second.tick, interval=0.01)):
        await eventually(lambda: bool(second.leases))
    assert second.leases[0] == Lease(NAME, "second", 2)


async def test_it_keeps_the_lease_while_a_round_takes_long(leases: InMemoryLeases, work: Work) -> None:
    work.hang = asyncio.Event()
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick)):
        await eventually(lambda: leases.calls.count(RENEW) >= 3)
        assert len(work.leases) == 1
        work.hang.set()


async def test_a_lease_that_was_taken_over_ends_the_round_under_way(leases: InMemoryLeases, work: Work) -> None:
    lost = metric("taxiway_lease_lost_total")
    work.hang = asyncio.Event()
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick)):
        await eventually(lambda: len(work.leases) == 1)
        leases.take_over(NAME)
        await eventually(lambda: metric("taxiway_lease_lost_total") == lost + 1)
        await asyncio.sleep(0.02)
        assert len(work.leases) == 1, "it does not work under another's lease"
        assert metric("taxiway_lease_held") == 0
    assert leases.rows[NAME].holder == "somebody else"
    assert leases.rows[NAME].expires_at > 0, "what is another's is not given back"


async def test_a_round_that_was_cut_off_leaves_the_lease_to_expire(leases: InMemoryLeases, work: Work) -> None:
    # given a round under way, whose statements the server may still be at when the connection is gone
    work.hang = asyncio.Event()
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick)):
        await eventually(lambda: len(work.leases) == 1)
        # when the lease cannot be renewed
        leases.failing.add(RENEW)
        await eventually(lambda: metric("taxiway_lease_held") == 0)
    # then nobody gets it before its time
    assert RELEASE not in leases.calls


@pytest.mark.parametrize("failure", [TransientError("away"), LeaseLostError("fenced off")])
async def test_a_round_that_fails_for_now_costs_the_lease_and_not_the_process(
    failure: Exception, leases: InMemoryLeases, work: Work
) -> None:
    work.failure = failure
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick, interval=0.01)):
        await eventually(lambda: len(work.leases) >= 2)
    assert [lease.epoch for lease in work.leases[:2]] == [1, 2], "taken anew, so what the old round left is fenced off"


async def test_a_round_that_fails_unexpectedly_costs_the_lease_and_not_the_process(
    leases: InMemoryLeases, work: Work
) -> None:
    work.failure = ZeroDivisionError("a bug")
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick, interval=0.01)):
        await eventually(lambda: len(work.leases) > 1)
    assert [lease.epoch for lease in work.leases[:2]] == [1, 2], (
        "given back and taken anew: another copy could have had it"
    )
    assert REGISTRY.get_sample_value("taxiway_lease_failures_total", {"lease": NAME}) == 1


async def test_a_database_that_is_away_is_waited_for(leases: InMemoryLeases, work: Work) -> None:
    leases.is_away = True
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick, interval=0.01)):
        await eventually(lambda: leases.refused >= 2)
        assert work.leases == []
        leases.is_away = False
        await eventually(lambda: bool(work.leases))


async def test_a_lease_that_cannot_be_given_back_is_left_to_expire(leases: InMemoryLeases, work: Work) -> None:
    async with running(LeaseLoop(leases.database, NAME, "me", work.tick)) as stopping:
        await eventually(lambda: bool(work.leases))
        leases.is_away = True
        stopping.set()
    assert leases.rows[NAME].expires_at > 0


async def test_a_loop_that_waits_for_its_next_round_is_healthy_and_one_that_hangs_in_a_round_is_not(
    leases: InMemoryLeases, work: Work
) -> None:
    held = HeldSeconds()
    heart, wake = Heartbeat("lease loop under test", monotonic=held), asyncio.Event()
    loop = LeaseLoop(leases.database, NAME, "me", work.tick, interval=60, wake=wake, heartbeat=heart)
    async with running(loop):
        await eventually(lambda: len(work.leases) == 1)
        await asyncio.sleep(0.01)
        held.now += 60 + STALE_SECONDS
        assert heart.complaint() is None, "it sleeps on purpose"
        held.now += 1
        assert heart.complaint() is not None, "it should have woken"
        work.hang = asyncio.Event()
        wake.set()
        await eventually(lambda: len(work.leases) == 2)
        assert heart.complaint() is None
        held.now += STALE_SECONDS + 1
        assert heart.complaint() is not None, "a round hangs"
        work.hang.set()
    heart.end()
