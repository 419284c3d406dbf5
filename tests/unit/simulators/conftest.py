"""The simulators in this process, on real loopback ports, with a client of both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from infra.local.simulators.nodes import Node
from infra.local.simulators.server import simulators
from infra.local.simulators.settings import SimulatorSettings

NODES = [Node(name="n1", cpu_milli=64000, memory_mib=262144, gpu_count=2, gpu_model="P100")]
DEPLOYMENT = str(UUID(int=1))


class Simulators:
    """What a test does to them."""

    def __init__(self, control: httpx.AsyncClient, gateway: httpx.AsyncClient) -> None:
        self.control = control
        self.gateway = gateway

    async def put(self, path: str, body: object, status: int = 200, **query: int) -> Any:
        answer = await self.control.put(path, json=body, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def run(self, revision: int, count: int = 1, *, if_version: int = 0, milli: int = 100) -> None:
        """Pods of a revision."""
        slots = [
            {"reservation_id": str(revision), "replica": number, "node": "n1", "devices": [0], "gpu_milli": milli}
            for number in range(count)
        ]
        body = {"model": "llama", "version": f"v{revision}", "slots": slots}
        await self.put(f"/workloads/{DEPLOYMENT}/{revision}", body, if_version=if_version)

    async def route(self, weights: dict[str, int], if_generation: int = 0) -> None:
        """Write the route."""
        await self.put(f"/routes/{DEPLOYMENT}", {"weights": weights}, if_generation=if_generation)

    async def view(self) -> Any:
        """Workloads and route."""
        answer = await self.control.post("/deployments/query", json={"ids": [DEPLOYMENT]})
        return answer.json()["deployments"][DEPLOYMENT]

    async def status(self) -> Any:
        """Pods over all deployments."""
        return (await self.control.get("/status")).json()

    async def infer(self, body: object = None) -> httpx.Response:
        """One request through the gateway."""
        return await self.gateway.post(f"/{DEPLOYMENT}/v1/infer", json=body or {"prompt": "one two three"})

    async def until(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what happens in real time."""
        for _ in range(500):
            if await check():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not happen")

    async def ready(self, count: int) -> None:
        """Wait for so many ready pods."""

        async def is_so() -> bool:
            status = await self.status()
            return bool(status["ready"] == status["pods"] == count)

        await self.until(is_so)

    async def applied(self) -> None:
        """Wait until the gateway works by the route."""

        async def is_so() -> bool:
            route = (await self.view())["route"]
            return route is None or bool(route["observed_generation"] == route["generation"])

        await self.until(is_so)


@pytest.fixture
async def simulated() -> AsyncIterator[Simulators]:
    """Fresh simulators with short times."""
    settings = SimulatorSettings(load_seconds=0.05, drain_seconds=0.05, route_delay_seconds=0.05)
    async with (
        simulators(NODES, settings) as addresses,
        httpx.AsyncClient(base_url=addresses.control_url, trust_env=False) as control,
        httpx.AsyncClient(base_url=addresses.gateway_url, trust_env=False, timeout=30) as gateway,
    ):
        yield Simulators(control, gateway)
