"""Nodes that fail, go and come back, and pods that need more than one of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from infra.local.simulators.nodes import read_nodes
from tests.unit.simulators.conftest import DEPLOYMENT, Simulators


def slot(replica: int, worker: int = 0, device: int = 0, **fields: Any) -> dict[str, Any]:
    """A place on n1."""
    place = {"reservation_id": "r", "replica": replica, "worker": worker, "node": "n1", "devices": [device]}
    return {**place, "gpu_milli": 100, **fields}


async def apply(simulated: Simulators, *slots: dict[str, Any], if_version: int = 0, status: int = 200) -> None:
    body = {"model": "llama", "version": "v1", "slots": slots}
    await simulated.put(f"/workloads/{DEPLOYMENT}/1", body, status, if_version=if_version)


async def serve(simulated: Simulators, *slots: dict[str, Any]) -> None:
    """Pods on these places, ready and with a route."""
    await apply(simulated, *slots)
    await simulated.ready(len(slots))
    await simulated.route({"1": 100})
    await simulated.applied()


async def overcommits(simulated: Simulators) -> list[str]:
    found: list[str] = (await simulated.status())["overcommits"]
    return found


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("n1", {"failed_devices": [2]}),
        ("n1", {"failed_devices": [-1]}),
        ("n1", {"gpu_count": -1}),
        ("n1", {"colour": "red"}),
        ("n9", {"cpu_milli": 1000}),
        ("n1", [1]),
    ],
)
async def test_what_is_no_node_is_refused(simulated: Simulators, name: str, body: object) -> None:
    await simulated.put(f"/nodes/{name}", body, status=422)
    (listed,) = (await simulated.control.get("/nodes")).json()["nodes"]
    assert (listed["name"], listed["gpu_count"], listed["failed_devices"]) == ("n1", 2, [])


async def test_node_that_is_not_there_cannot_be_removed(simulated: Simulators) -> None:
    assert (await simulated.control.delete("/nodes/n9")).status_code == 422


async def test_what_is_told_of_a_node_is_listed(simulated: Simulators) -> None:
    await simulated.put("/nodes/n1", {"failed_devices": [1, 0, 1], "is_cordoned": True, "zone": "rack-1"})
    fresh = {"cpu_milli": 1000, "memory_mib": 1024, "gpu_count": 0}
    await simulated.put("/nodes/n2", fresh)
    first, second = (await simulated.control.get("/nodes")).json()["nodes"]
    assert (first["failed_devices"], first["is_cordoned"], first["zone"]) == ([0, 1], True, "rack-1")
    assert second == fresh | {
        "name": "n2",
        "gpu_model": "",
        "pool": "default",
        "failed_devices": [],
        "is_cordoned": False,
        "zone": "",
    }


async def test_pod_on_a_broken_device_gets_no_requests_until_it_is_repaired(simulated: Simulators) -> None:
    await serve(simulated, slot(0, device=0), slot(1, device=1))
    await simulated.put("/nodes/n1", {"failed_devices": [1]})
    answers = [await simulated.infer() for _ in range(6)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["pod"] for answer in answers}) == 1
    assert (await simulated.status())["pods"] == 2, "it is there, and does nothing"
    await simulated.put("/nodes/n1", {"failed_devices": []})
    await simulated.ready(2)


async def test_removed_node_takes_requests_in_flight_with_it(simulated: Simulators) -> None:
    await simulated.put("/behaviours/llama/v1", {"latency_ms": 20_000})
    await serve(simulated, slot(0))
    asked = asyncio.create_task(simulated.infer())
    await asyncio.sleep(0.2)
    assert (await simulated.control.delete("/nodes/n1")).status_code == 200
    async with asyncio.timeout(5):
        assert (await asked).status_code == 502
    assert (await simulated.infer()).status_code == 503
    assert (await simulated.status())["pods"] == 0
    assert await overcommits(simulated) == [], "who wants a pod there has not heard of it yet"
    await simulated.put("/nodes/n1", {})
    await simulated.ready(1)


async def test_draining_pod_dies_with_its_node(simulated: Simulators) -> None:
    await simulated.put("/settings", {"drain_seconds": 600})
    await serve(simulated, slot(0))
    await apply(simulated, if_version=1)
    assert (await simulated.status())["pods"] == 1
    await simulated.control.delete("/nodes/n1")

    async def is_empty() -> bool:
        return bool((await simulated.status())["pods"] == 0)

    await simulated.until(is_empty)


async def test_gang_is_asked_by_its_first_pod_and_only_when_it_is_whole(simulated: Simulators) -> None:
    await serve(simulated, slot(0, 0, device=0), slot(0, 1, device=1), slot(1, 0, device=0))
    pods = {(await simulated.infer()).json()["pod"] for _ in range(9)}
    assert len(pods) == 2, "of three pods one is no endpoint"
    await simulated.put("/nodes/n1", {"failed_devices": [1]})
    assert len({(await simulated.infer()).json()["pod"] for _ in range(9)}) == 1


async def test_slices_of_one_device_lie_beside_each_other(simulated: Simulators) -> None:
    first = slot(0, mig_profile="3g.40gb", mig_start=0)
    await apply(simulated, first, slot(1, mig_profile="3g.40gb", mig_start=4))
    assert await overcommits(simulated) == []
    await apply(simulated, first, slot(2, mig_profile="1g.10gb", mig_start=3), if_version=1)
    assert "its slices overlap" in (await overcommits(simulated))[0]


async def test_nothing_uncut_is_beside_a_slice(simulated: Simulators) -> None:
    await apply(simulated, slot(0, mig_profile="1g.10gb", mig_start=0), slot(1))
    assert len(await overcommits(simulated)) == 1


async def test_places_that_never_were_are_told(simulated: Simulators) -> None:
    await apply(simulated, slot(0, device=2), slot(1, node="n9"))
    assert sorted(await overcommits(simulated)) == ["n1 has no devices (2,)", "n9 has no devices (0,)"]


def test_zone_is_read(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text("sn,cpu_milli,memory_mib,gpu,model,zone\nn1,64000,262144,2,P100,rack-1\n")
    assert [node.zone for node in read_nodes(file)] == ["rack-1"]
