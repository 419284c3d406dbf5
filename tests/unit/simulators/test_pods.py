"""Pods are real servers that load, serve, and end in an orderly way."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from infra.local.simulators.behaviour import Behaviour, Behaviours
from infra.local.simulators.pod import PodSpec, SimulatedPod
from infra.local.simulators.settings import SimulatorSettings
from tests.unit.simulators.conftest import DEPLOYMENT, Simulators

SPEC = PodSpec(DEPLOYMENT, 1, "llama", "v1", "n1", (0,), 100)


class RunningPod:
    """One pod by itself."""

    def __init__(self, behaviours: Behaviours, settings: SimulatorSettings) -> None:
        self.pod = SimulatedPod("p1", SPEC, behaviours, settings)
        self.task = asyncio.create_task(self.pod.run())

    async def get(self, path: str) -> httpx.Response:
        for _ in range(100):
            await asyncio.sleep(0 if self.pod.port else 0.01)
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.pod.port}{path}")

    async def infer(self, body: bytes = b'{"prompt": "a b"}') -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.post(f"http://127.0.0.1:{self.pod.port}/v1/infer", content=body)


@pytest.fixture
def behaviours() -> Behaviours:
    return Behaviours()


async def test_pod_says_when_it_has_loaded(behaviours: Behaviours) -> None:
    behaviours.put("llama", "v1", Behaviour(load_seconds=0.3))
    running = RunningPod(behaviours, SimulatorSettings(load_seconds=0))
    assert (await running.get("/healthz")).status_code == 503
    await asyncio.sleep(0.4)
    assert (await running.get("/healthz")).status_code == 200
    running.pod.end()
    await running.task


async def test_ending_pod_finishes_what_it_began(behaviours: Behaviours) -> None:
    behaviours.put("llama", "v1", Behaviour(latency_ms=200))
    running = RunningPod(behaviours, SimulatorSettings(load_seconds=0, drain_seconds=0.01))
    await running.get("/healthz")
    asked = asyncio.create_task(running.infer())
    await asyncio.sleep(0.1)
    running.pod.end()
    assert not running.pod.is_ready
    assert (await asked).status_code == 200
    await running.task
    with pytest.raises(httpx.ConnectError):
        await running.infer()


async def test_pod_that_ends_while_it_loads_is_gone_at_once(behaviours: Behaviours) -> None:
    running = RunningPod(behaviours, SimulatorSettings(load_seconds=600, drain_seconds=0))
    await running.get("/healthz")
    running.pod.end()
    async with asyncio.timeout(5):
        await running.task


@pytest.mark.parametrize("body", [b"no json", b"[1]", b'{"max_tokens": "many"}'])
async def test_what_cannot_be_read_is_the_callers_fault(behaviours: Behaviours, body: bytes) -> None:
    running = RunningPod(behaviours, SimulatorSettings(load_seconds=0, drain_seconds=0))
    await running.get("/healthz")
    assert (await running.infer(body)).status_code == 400
    metrics = (await running.get("/metrics")).text
    assert 'model_requests_total{model="llama",version="v1",pod="p1"} 0' in metrics
    running.pod.end()
    await running.task


def test_error_rate_is_kept_exactly(behaviours: Behaviours) -> None:
    behaviours.put("llama", "v1", Behaviour(error_rate=0.3))
    assert sum(behaviours.fails_now("llama", "v1") for _ in range(1000)) == 300
    assert not any(behaviours.fails_now("llama", "v2") for _ in range(100))


async def test_device_under_too_many_pods_is_told(simulated: Simulators) -> None:
    await simulated.run(1, 2, milli=500)
    assert (await simulated.status())["overcommits"] == []
    await simulated.run(2, 1, milli=500)
    assert (await simulated.status())["overcommits"] == ["n1/0 carries 1500 of 1000 milli-GPU"]
