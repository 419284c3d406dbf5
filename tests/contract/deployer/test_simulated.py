"""What only the simulated cluster's client does: measurements of real traffic, refused connections, the breaker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from infra.local.simulators.server import simulators
from infra.local.simulators.settings import SimulatorSettings
from services.deployer.adapters.simulated import SimulatedCluster
from services.deployer.domain.observation import Window
from services.kit.errors import TransientError
from services.kit.resilience import Breaker
from tests.contract.deployer.conftest import simulated_bench
from tests.contract.deployer.test_cluster import wait_applied, wait_ready, workload


async def test_traffic_is_measured_by_revision() -> None:
    deployment = uuid4()
    async with simulators([], SimulatorSettings(load_seconds=0, route_delay_seconds=0)) as addresses:
        cluster = SimulatedCluster(addresses.control_url)
        await cluster.apply(workload(deployment, 1), 0)
        await cluster.apply(workload(deployment, 2), 0)
        await cluster.set_route(deployment, {1: 75, 2: 25}, 0)
        bench = simulated_bench(cluster, addresses.control_url)
        for revision in (1, 2):
            await wait_ready(bench, deployment, revision, 2)
        await wait_applied(bench, deployment)
        start = datetime.now(UTC)
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(40):
                await client.post(f"{addresses.gateway_url}/{deployment}/v1/infer", json={"prompt": "a b"})
        end = datetime.now(UTC) + timedelta(seconds=1)
        measured = await cluster.measure(deployment, Window(start, end))
        assert {revision: found.requests for revision, found in measured.items()} == {1: 30, 2: 10}
        assert all(found.errors == 0 and found.latency_p99_ms >= 5 for found in measured.values())
        before = await cluster.measure(deployment, Window(start - timedelta(hours=1), start))
        assert all(found.requests == 0 for found in before.values())
        await cluster.close()


async def test_refused_connections_open_the_breaker() -> None:
    cluster = SimulatedCluster("http://127.0.0.1:9", breaker=Breaker("test-cluster", fail_max=2, reset_seconds=60))
    for _ in range(2):
        with pytest.raises(TransientError, match="ConnectError"):
            await cluster.nodes()
    with pytest.raises(TransientError, match="circuit open"):
        await cluster.nodes()
    await cluster.close()


async def test_second_client_sees_the_same_cluster() -> None:
    """State lives in the simulator: a deployer that restarts finds everything as it was."""
    deployment = uuid4()
    async with simulators([]) as addresses:
        for attempt in range(2):
            cluster = SimulatedCluster(addresses.control_url)
            if attempt == 0:
                await cluster.apply(workload(deployment), 0)
            view = (await cluster.observe([deployment]))[deployment]
            assert len(view.workloads[1].pods) == 2
            await cluster.close()
