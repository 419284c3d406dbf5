"""A process starts its parts in order, stops them in reverse, and says by its status whether one of them failed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import httpx
import pytest

from infra.local.ports import free_ports
from services.kit import garbage
from services.kit import service as module
from services.kit.service import Service


@pytest.fixture(autouse=True)
def nothing_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector of this process is left alone."""
    monkeypatch.setattr(garbage, "settle", lambda: None)


@pytest.fixture
def events() -> list[str]:
    """What happened, in order."""
    return []


@pytest.fixture(autouse=True)
async def own_signals() -> AsyncIterator[None]:
    """What the process does at signals is as before; the loop would leave it at the kernel's default."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    for number, handler in before:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, handler)


class Part:
    """A component that tells when it starts, drains and ends."""

    def __init__(self, name: str, events: list[str], failure: Exception | None = None) -> None:
        self.name = name
        self.started = asyncio.Event()
        self._events = events
        self._failure = failure
        self.drains_for_ever = False
        self.fails_at_end = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Until told, or until it fails."""
        self._events.append(f"{self.name} starts")
        self.started.set()
        if self._failure is not None and not self.fails_at_end:
            raise self._failure
        await stopping.wait()
        self._events.append(f"{self.name} drains")
        await asyncio.sleep(0)
        if self.drains_for_ever:
            await asyncio.Event().wait()
        if self._failure is not None:
            raise self._failure
        self._events.append(f"{self.name} ends")


async def run_and_signal(service: Service, *parts: Part, number: signal.Signals = signal.SIGTERM) -> int:
    """The service from its start to a signal and its end."""
    running = asyncio.create_task(service.run())
    async with asyncio.timeout(10):
        for part in parts:
            await part.started.wait()
        await asyncio.sleep(0)
        os.kill(os.getpid(), number)
        return await running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_parts_start_in_order_and_stop_one_after_the_other_in_reverse(
    events: list[str], number: signal.Signals
) -> None:
    relay, consumer = Part("relay", events), Part("consumer", events)

    async def close() -> None:
        events.append("closed")

    service = Service("test", [relay, consumer], close=[close])
    assert await run_and_signal(service, relay, consumer, number=number) == 0
    assert events == [
        "relay starts",
        "consumer starts",
        "consumer drains",
        "consumer ends",
        "relay drains",
        "relay ends",
        "closed",
    ]


async def test_a_part_that_fails_ends_the_process_with_status_1_and_the_others_drain(events: list[str]) -> None:
    good, bad = Part("good", events), Part("bad", events, ValueError("no"))
    assert await Service("test", [good, bad]).run() == 1
    assert events == ["good starts", "bad starts", "good drains", "good ends"]


async def test_a_part_that_ends_untold_ends_the_process_with_status_1(events: list[str]) -> None:
    class Brief(Part):
        async def run(self, stopping: asyncio.Event) -> None:
            """Nothing to do."""

    assert await Service("test", [Part("good", events), Brief("brief", events)]).run() == 1
    assert "good ends" in events


async def test_a_part_that_fails_while_it_drains_is_told_by_the_status_and_the_rest_still_drains(
    events: list[str],
) -> None:
    first, failing = Part("first", events), Part("failing", events, ValueError("no"))
    failing.fails_at_end = True
    assert await run_and_signal(Service("test", [first, failing]), first, failing) == 1
    assert events[-1] == "first ends"


async def test_a_part_that_does_not_drain_is_cancelled_after_its_time(
    events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.05)
    first, stuck = Part("first", events), Part("stuck", events)
    stuck.drains_for_ever = True
    assert await run_and_signal(Service("test", [first, stuck]), first, stuck) == 1
    assert events[-2:] == ["first drains", "first ends"]


async def test_it_is_ready_from_its_start_until_the_signal_and_no_longer(events: list[str]) -> None:
    port = free_ports(1)[0]
    seen: list[int] = []

    class Asks(Part):
        async def run(self, stopping: asyncio.Event) -> None:
            """Ask before and after the signal."""
            self.started.set()
            await stopping.wait()
            seen.append(await ask())

    async def ask() -> int:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code

    part = Asks("asks", events)
    running = asyncio.create_task(Service("test", [part], health_port=port).run())
    async with asyncio.timeout(10):
        await part.started.wait()
        while True:
            try:
                seen.append(await ask())
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
    assert seen == [200, 503], "ready first, then not, while the parts still drain"


async def test_a_taken_health_port_is_a_failure(events: list[str]) -> None:
    port = free_ports(1)[0]
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    try:
        assert await Service("test", [Part("good", events)], health_port=port).run() == 1
    finally:
        server.close()
