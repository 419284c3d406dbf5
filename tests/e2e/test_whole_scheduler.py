"""The scheduler as part of the whole: questions, a lost node, who makes room, and all of it decided once more.

The last of these tests: what it does to deployments, the others' exactness forbids.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import pytest_asyncio

from infra.local.workers import WorkerId
from services.scheduler.entrypoints.replay import check, read_recording
from tests.e2e.client import Client
from tests.e2e.tenant import Tenant, make_tenant
from tests.e2e.whole import Whole, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHOLE_NODE = {"gpu_count": 8, "gpu_milli": 1000, "cpu_milli": 100, "memory_mib": 64}
NODES = 8


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def team(whole: Whole) -> Tenant:
    """A tenant of these tests' own."""
    return await make_tenant(whole.platform.description(), whole.operator, "scheduling")


async def test_a_person_asks_what_would_be_and_nothing_changes(whole: Whole, team: Tenant) -> None:
    used = (await whole.operator.get("/capacity"))["gpu_used_milli"]
    fits = await what_if(team.client, WHOLE_NODE)
    assert (fits["outcome"], len(fits["allocations"][0]["devices"])) == ("placed", 8)
    never = await what_if(team.client, WHOLE_NODE, replicas=NODES + 1)
    assert (never["outcome"], never["reason"]) == ("rejected", "TooLargeForPool")
    assert (await whole.operator.get("/capacity"))["gpu_used_milli"] == used


async def test_what_runs_on_a_lost_node_is_placed_again_and_serves(whole: Whole, team: Tenant) -> None:
    deployment = await deploy(team, "survivor", {**WHOLE_NODE, "gpu_count": 2}, replicas=2)
    [first, *_] = await nodes_of(team.client, deployment)
    cluster = whole.platform.description()["cluster_url"]

    await at_cluster("DELETE", f"{cluster}/nodes/{first}")

    async def is_elsewhere() -> bool:
        nodes = await nodes_of(team.client, deployment)
        return len(nodes) == 2 and first not in nodes

    try:
        await eventually("another place", is_elsewhere)
        words = [entry["words"] for entry in (await team.client.get(f"/deployments/{deployment}/history"))["items"]]
        assert [f"node {first} is gone" in sentence for sentence in words].count(True) == 1, "\n".join(words)
        await eventually("serving again", lambda: is_serving(team.client, deployment))
    finally:
        await at_cluster("PUT", f"{cluster}/nodes/{first}", {})


async def test_who_may_be_drained_makes_room_and_comes_back(whole: Whole, team: Tenant) -> None:
    """Cheap replicas fill the nodes; an urgent request has one drained, by its deployer, and takes its place."""
    free = len([node for node in (await whole.operator.get("/capacity"))["nodes"] if node["gpu_used_milli"] == 0])
    assert free >= 2
    cheap = await deploy(team, "cheap", WHOLE_NODE, replicas=free, priority=10, preemptible=True)

    asked = await what_if(team.client, WHOLE_NODE, priority=900)
    assert asked["outcome"] == "placed-after-draining"
    assert sum(each["gpu_milli"] for each in asked["evictions"]) == 8000
    urgent = await deploy(team, "urgent", WHOLE_NODE, priority=900)

    assert len(await nodes_of(team.client, urgent)) == 1
    assert len(await nodes_of(team.client, cheap)) == free - 1
    await eventually("the drained replica in the queue", lambda: waits(whole.operator, cheap))
    await team.client.accepted("DELETE", f"/deployments/{urgent}")

    async def is_back() -> bool:
        return len(await nodes_of(team.client, cheap)) == free

    await eventually("the drained replica back", is_back)


async def test_all_of_it_comes_out_as_recorded_when_it_is_decided_once_more(whole: Whole) -> None:
    """After every restart, take-over and outage of this session: from Kafka alone, byte for byte."""
    assert whole.metric(WorkerId("scheduler"), "taxiway_scheduler_inputs_set_aside_total") == 0
    recording = await asyncio.to_thread(read_recording, whole.bootstrap, "default")
    found = await asyncio.to_thread(check, recording)
    assert found.holds, found.different[:2]
    assert found.compared == len(recording.decisions) > 10


async def at_cluster(method: str, url: str, body: dict[str, Any] | None = None) -> None:
    """Change the simulated cluster."""
    async with httpx.AsyncClient(timeout=10) as client:
        (await client.request(method, url, json=body)).raise_for_status()


async def deploy(team: Tenant, name: str, resources: dict[str, Any], **more: Any) -> str:
    """Ask for it and wait until it serves; returns its id."""
    spec = team.spec(name).model_dump(mode="json", exclude={"resources"}) | {"resources": resources} | more
    created = await team.client.accepted("POST", "/deployments", spec)
    deployment: str = created["deployment_id"]
    promote = {"reason": "nobody sends requests that an analysis could judge", "full": True}

    async def is_promoted() -> bool:
        if (await team.client.get(f"/deployments/{deployment}"))["rollout"] is None:
            return False
        await team.client.once("POST", f"/deployments/{deployment}/rollout/promote", promote)
        return await is_serving(team.client, deployment)

    await eventually(f"{name} serving", is_promoted)
    return deployment


async def is_serving(client: Client, deployment: str) -> bool:
    return bool((await client.get(f"/deployments/{deployment}"))["state"] == "serving")


async def nodes_of(client: Client, deployment: str) -> list[str]:
    """Nodes of the deployment's pods."""
    placement = await client.get(f"/deployments/{deployment}/placement")
    return [place["node"] for held in placement["reservations"] for place in held["allocations"]]


async def waits(operator: Client, deployment: str) -> bool:
    """Whether something of the deployment stands in the queue of a pool."""
    queues = (await operator.get("/capacity/queue"))["queues"]
    return deployment in [entry["deployment_id"] for queue in queues for entry in queue["entries"]]


async def what_if(client: Client, resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The answer of the pool's owner."""
    question = {"resources": resources, **more}
    answer: dict[str, Any] = await client.accepted("POST", "/capacity/what-if?wait=20s", question)
    return answer
