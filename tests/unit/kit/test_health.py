"""Health answers for the loops; readiness for the process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from services.kit.observability import health, metrics
from services.kit.observability.health import HealthServer, Heartbeat
from tests.fakes.kit.clock import HeldSeconds

Client = TestClient[Request, Application]


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """No heartbeats but those of the test."""
    monkeypatch.setattr(health, "_heartbeats", {})


@pytest.fixture
def held() -> HeldSeconds:
    """The loops' clock."""
    return HeldSeconds()


@pytest.fixture
def heart(held: HeldSeconds) -> Heartbeat:
    """The heartbeat of a loop that may be silent for ten seconds."""
    return Heartbeat("relay", 10, held)


@pytest.fixture
def server() -> HealthServer:
    """A server that needs nothing else."""
    return HealthServer(0)


@pytest.fixture
async def client(server: HealthServer) -> AsyncIterator[Client]:
    """Its client."""
    async with TestClient(TestServer(server.application())) as client:
        yield client


async def test_a_loop_that_beats_is_well(client: Client, heart: Heartbeat, held: HeldSeconds) -> None:
    held.now += 9
    heart.beat()
    held.now += 9
    answer = await client.get("/healthz")
    assert (answer.status, await answer.json()) == (200, {"ok": True, "complaints": [], "stopped": []})


async def test_a_silent_loop_is_named(client: Client, heart: Heartbeat, held: HeldSeconds) -> None:
    Heartbeat("consumer", 1000, held)
    held.now += 11
    answer = await client.get("/healthz")
    assert (answer.status, (await answer.json())["complaints"]) == (503, ["relay: no heartbeat for 11 s"])
    heart.beat()
    assert (await client.get("/healthz")).status == 200


async def test_a_loop_that_waits_for_a_person_is_named_but_wants_no_restart(
    client: Client, heart: Heartbeat, held: HeldSeconds
) -> None:
    heart.stop("too much is invalid")
    held.now += 11
    answer = await client.get("/healthz")
    assert answer.status == 200
    assert (await answer.json())["stopped"] == ["relay: too much is invalid"]


async def test_a_loop_that_ended_on_purpose_is_not_missed(client: Client, heart: Heartbeat, held: HeldSeconds) -> None:
    heart.end()
    held.now += 100
    assert (await client.get("/healthz")).status == 200


async def test_the_end_of_an_old_loop_does_not_hide_its_successor(
    client: Client, heart: Heartbeat, held: HeldSeconds
) -> None:
    Heartbeat("relay", 10, held)
    heart.end()
    held.now += 11
    assert (await client.get("/healthz")).status == 503


async def test_ready_is_what_the_service_says(client: Client, server: HealthServer) -> None:
    assert (await client.get("/readyz")).status == 503
    server.ready = True
    assert (await client.get("/readyz")).status == 200
    server.ready = False
    assert (await client.get("/readyz")).status == 503


async def test_metrics_are_in_the_format_of_prometheus(client: Client) -> None:
    metrics.DEAD_LETTER_DEPTH.labels("some.dlq").set(3)
    answer = await client.get("/metrics")
    assert answer.content_type == "text/plain"
    assert 'taxiway_dead_letter_depth{topic="some.dlq"} 3.0' in await answer.text()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_it_serves_until_told_and_leaves_the_port_free() -> None:
    port, stopping = free_port(), asyncio.Event()
    running = asyncio.create_task(HealthServer(port).run(stopping))
    for _ in range(500):
        if await answers(port):
            break
        await asyncio.sleep(0.01)
    assert await answers(port)
    stopping.set()
    async with asyncio.timeout(5):
        await running
    assert not await answers(port)


async def answers(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            await HealthServer(taken.getsockname()[1]).run(asyncio.Event())
