"""Capacity over REST: the map, the queue, hints, and questions to the pool's owner; and who may see what of it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from schemas.capacity import (
    AskDefragmentation,
    AskWhatIf,
    DefragmentationPlanned,
    Eviction,
    Move,
    WhatIfAnswered,
    WouldBe,
)
from schemas.placement import QueueReason
from schemas.resources import Allocation
from schemas.tenant import PLATFORM_TENANT
from services.ingest_api.usecases.capacity import MOST_OPEN
from tests.fakes.ingest_api.application import OPERATOR
from tests.fakes.ingest_api.builders import HALF_GPU, TENANT, observed, reported, reserved, waits
from tests.fakes.ingest_api.front import Front, problem

ASKED: dict[str, Any] = {"replicas": 2, "resources": HALF_GPU.model_dump(mode="json"), "priority": 500}
STRANGER = UUID(int=77)
NEVER = "/capacity/what-if?wait=0s"


async def other_tenant(front: Front) -> tuple[UUID, str]:
    """Another tenant, and its admin's credential."""
    other = await front.tenant_of("globex")
    created = await front.post(f"/tenants/{other}/keys", {"name": "ci", "scopes": ["admin"]}, credential=OPERATOR)
    return UUID(other), created["token"]


async def holding(front: Front) -> UUID:
    """TENANT's deployment `chat` holds two halves of node-1's first GPU; returns its id."""
    about = UUID(await front.deploy())
    await front.learn(observed("node-1"), observed("node-2", "other", gpu_model="T4"))
    await front.learn(reserved(deployment_id=about))
    return about


async def test_operators_see_every_holder_on_the_map(front: Front) -> None:
    about = await holding(front)
    seen = await front.get("/capacity/map", credential=OPERATOR)
    assert (seen["gpu_total_milli"], seen["gpu_free_milli"]) == (5000, 3000), "device 3 of node-2 is not listed"
    first, second = seen["nodes"][0]["devices"]
    assert (first["state"], first["free_milli"], first["others_milli"]) == ("shared", 0, 0)
    assert [(each["deployment"], each["tenant"], each["replica"]) for each in first["holders"]] == [
        ("chat", "acme", 0),
        ("chat", "acme", 1),
    ]
    assert {each["deployment_id"] for each in first["holders"]} == {str(about)}
    assert (second["state"], second["holders"]) == ("free", [])
    for query, nodes in (("pool=other", ["node-2"]), ("node=node-1", ["node-1"]), ("gpu_model=T4", ["node-2"])):
        found = await front.get(f"/capacity/map?{query}", credential=OPERATOR)
        assert [each["node"] for each in found["nodes"]] == nodes, query


async def test_a_tenant_sees_itself_on_the_map_and_of_others_amounts(front: Front) -> None:
    about = await holding(front)
    _, stranger = await other_tenant(front)
    own = (await front.get("/capacity/map"))["nodes"][0]["devices"][0]
    assert [each["deployment_id"] for each in own["holders"]] == [str(about)] * 2
    answer = await front.send("GET", "/capacity/map", credential=stranger)
    seen = answer.json()["nodes"][0]["devices"][0]
    assert (seen["state"], seen["free_milli"], seen["others_milli"], seen["holders"]) == ("shared", 0, 1000, [])
    for secret in (str(about), str(TENANT), "chat", "acme"):
        assert secret not in answer.text


async def test_the_queue_is_as_of_its_newest_report(front: Front) -> None:
    about = UUID(await front.deploy())
    first = waits(1, deployment_id=about)
    await front.learn(reported(first, waits(2, STRANGER)), reported(pool="other"))
    seen = await front.get("/capacity/queue", credential=OPERATOR)
    queue, empty = seen["queues"]
    assert (queue["pool"], queue["length"], queue["gpu_milli"], queue["as_of_decision"]) == ("default", 2, 2000, 17)
    assert [(each["position"], each["tenant"], each["deployment"]) for each in queue["entries"]] == [
        (1, "acme", "chat"),
        (2, None, None),
    ]
    assert (empty["pool"], empty["entries"]) == ("other", [])
    await front.learn(reported(as_of_decision=18), reported(first, as_of_decision=17))
    seen = await front.get("/capacity/queue?pool=default", credential=OPERATOR)
    assert [(each["length"], each["entries"]) for each in seen["queues"]] == [(0, [])], (
        "an older report changes nothing"
    )


async def test_a_tenant_sees_its_own_place_among_all(front: Front) -> None:
    _, stranger = await other_tenant(front)
    await front.learn(reported(waits(1, STRANGER), waits(2), waits(3, STRANGER)))
    answer = await front.send("GET", "/capacity/queue")
    (queue,) = answer.json()["queues"]
    assert ([each["position"] for each in queue["entries"]], queue["length"], queue["gpu_milli"]) == ([2], 3, 3000)
    assert str(STRANGER) not in answer.text
    assert str(UUID(int=1001)) not in answer.text, "not the head's reservation either"
    (queue,) = (await front.get("/capacity/queue", credential=stranger))["queues"]
    assert queue["entries"] == []


async def test_hints_are_the_operators(front: Front) -> None:
    assert (await front.get("/capacity/hints", credential=OPERATOR))["pools"] == []
    await front.learn(reported(waits(1)))
    (pool,) = (await front.get("/capacity/hints?pool=default", credential=OPERATOR))["pools"]
    assert (pool["pool"], pool["length"], pool["hints"][0]["nodes"]) == ("default", 1, 2)
    assert pool["hints"][0]["detail"] == "two nodes with 8 A100 each"
    assert problem(await front.send("GET", "/capacity/hints"))[:2] == (403, "forbidden")


def answered(asked: AskWhatIf, *evicted: UUID) -> WhatIfAnswered:
    """It would be placed once these deployments have made room."""
    evictions = tuple(
        Eviction(reservation_id=uuid4(), deployment_id=about, replicas=(0, 1), gpu_milli=1000, priority=9)
        for about in evicted
    )
    return WhatIfAnswered(
        question_id=asked.question_id,
        pool=asked.pool,
        outcome=WouldBe.PLACED_AFTER_DRAINING if evicted else WouldBe.QUEUED,
        reason=None if evicted else QueueReason.NO_FREE_CAPACITY,
        detail="so it is",
        evictions=evictions,
        position=None if evicted else 4,
        as_of_decision=17,
    )


def planned(asked: AskDefragmentation, *moved: UUID) -> DefragmentationPlanned:
    """Room is made by moving a replica of each."""
    places = [Allocation(replica=0, node=name, devices=(0,), gpu_milli=500) for name in ("node-1", "node-2")]
    return DefragmentationPlanned(
        question_id=asked.question_id,
        pool=asked.pool,
        is_possible=True,
        detail="so it is",
        moves=tuple(
            Move(reservation_id=uuid4(), deployment_id=about, source=places[0], target=places[1]) for about in moved
        ),
        moved_gpu_milli=500 * len(moved),
        as_of_decision=17,
    )


async def test_a_question_is_said_to_the_pools_owner_in_the_askers_name(front: Front) -> None:
    await front.learn(observed())
    answer = await front.send("POST", NEVER, ASKED)
    (said,) = front.said(AskWhatIf)
    shown = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/capacity/what-if/{said.data.question_id}"
    assert (said.tenantid, said.actor, said.data.pool) == (str(TENANT), "user:ann", "default")
    assert (
        said.data.demand.model_dump(mode="json")
        == shown["demand"]
        == ASKED
        | {
            "preemptible": False,
            "expected_seconds": None,
        }
    )
    assert (shown["tenant_id"], shown["answered_at"], shown["outcome"]) == (str(TENANT), None, None)
    assert await front.get(answer.headers["location"]) == shown


async def test_who_waits_is_answered_as_soon_as_there_is_an_answer(front: Front) -> None:
    await front.learn(observed())
    waiting = asyncio.create_task(front.send("POST", "/capacity/what-if?wait=30s", ASKED))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    (said,) = front.said(AskWhatIf)
    await front.learn(answered(said.data))
    answer = await asyncio.wait_for(waiting, 5)
    assert (answer.status_code, answer.headers["location"]) == (
        200,
        f"/api/v1/capacity/what-if/{said.data.question_id}",
    )
    shown = answer.json()
    assert (shown["outcome"], shown["position"], shown["reason"]) == ("queued", 4, "NoFreeCapacity")
    assert await front.get(answer.headers["location"]) == shown


async def test_an_answer_that_comes_later_is_found_under_its_question(front: Front) -> None:
    await front.learn(observed())
    location = (await front.send("POST", NEVER, ASKED)).headers["location"]
    waiting = asyncio.create_task(front.send("GET", f"{location}?wait=30s"))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    (said,) = front.said(AskWhatIf)
    await front.learn(answered(said.data))
    assert (await asyncio.wait_for(waiting, 5)).json()["outcome"] == "queued"
    await front.learn(answered(said.data).model_copy(update={"detail": "once more"}))
    assert (await front.get(location))["detail"] == "so it is", "the first answer counts"


async def test_asking_again_with_the_same_key_asks_nothing_and_tells_the_answer(front: Front) -> None:
    await front.learn(observed())
    key = {"Idempotency-Key": "once"}
    first = await front.send("POST", NEVER, ASKED, headers=key)
    (said,) = front.said(AskWhatIf)
    await front.learn(answered(said.data))
    again = await front.send("POST", NEVER, ASKED, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["question_id"] == first.json()["question_id"]
    assert len(front.said(AskWhatIf)) == 1
    other = await front.send("POST", NEVER, ASKED | {"priority": 1}, headers=key)
    assert problem(other)[:2] == (422, "idempotency-key-reused")
    front.door.tables.questions.clear()  # as after seven days
    assert (await front.send("POST", NEVER, ASKED, headers=key)).status_code == 202


async def test_whom_it_would_drain_is_an_amount_unless_it_is_ones_own(front: Front) -> None:
    own = await holding(front)
    foreign = uuid4()
    location = (await front.send("POST", NEVER, ASKED)).headers["location"]
    (said,) = front.said(AskWhatIf)
    happened = answered(said.data, own, foreign)
    await front.learn(happened)
    answer = await front.send("GET", location)
    mine, others = answer.json()["evictions"]
    assert (mine["deployment_id"], mine["deployment"], mine["replicas"], mine["priority"]) == (str(own), "chat", 2, 9)
    assert others == {
        "reservation_id": None,
        "deployment_id": None,
        "deployment": None,
        "replicas": 2,
        "gpu_milli": 1000,
        "priority": None,
    }
    assert str(foreign) not in answer.text
    assert str(happened.evictions[1].reservation_id) not in answer.text
    seen = await front.get(location, credential=OPERATOR)
    assert [each["deployment_id"] for each in seen["evictions"]] == [str(own), str(foreign)]


async def test_an_operator_asks_as_the_platform_or_for_a_tenant(front: Front) -> None:
    await front.learn(observed())
    for tenant_id, told in ((None, None), (str(TENANT), str(TENANT))):
        shown = await front.post(NEVER, ASKED | {"tenant_id": tenant_id}, credential=OPERATOR)
        assert shown["tenant_id"] == told
    platform, for_tenant = front.said(AskWhatIf)
    assert (platform.tenantid, for_tenant.tenantid) == (str(PLATFORM_TENANT), str(TENANT))
    assert {platform.actor, for_tenant.actor} == {"user:root"}
    await front.get(f"/capacity/what-if/{for_tenant.data.question_id}")
    for path in (f"/capacity/what-if/{platform.data.question_id}", f"/capacity/what-if/{uuid4()}"):
        assert problem(await front.send("GET", path))[:2] == (404, "not-found")
    unknown = await front.send("POST", NEVER, ASKED | {"tenant_id": str(STRANGER)}, credential=OPERATOR)
    assert problem(unknown) == (422, "invalid-request", ["/tenant_id"])
    foreign = await front.send("POST", NEVER, ASKED | {"tenant_id": str(STRANGER)})
    assert problem(foreign) == (403, "wrong-tenant", ["/tenant_id"])
    assert len(front.said(AskWhatIf)) == 2


async def test_a_strangers_question_is_not_there(front: Front) -> None:
    await front.learn(observed())
    location = (await front.send("POST", NEVER, ASKED)).headers["location"]
    _, stranger = await other_tenant(front)
    assert problem(await front.send("GET", location, credential=stranger))[:2] == (404, "not-found")


async def test_a_plan_is_the_operators_and_names_what_moves_in_order(front: Front) -> None:
    about = await holding(front)
    path = "/capacity/defragmentation"
    waiting = asyncio.create_task(front.send("POST", f"{path}?wait=30s", ASKED, credential=OPERATOR))
    await asyncio.sleep(0.02)
    (said,) = front.said(AskDefragmentation)
    await front.learn(planned(said.data, about, STRANGER))
    answer = await asyncio.wait_for(waiting, 5)
    shown = answer.json()
    assert (answer.status_code, shown["is_possible"], shown["moved_gpu_milli"]) == (200, True, 1000)
    assert [(each["deployment_id"], each["deployment"]) for each in shown["moves"]] == [
        (str(about), "chat"),
        (str(STRANGER), None),
    ]
    assert (shown["moves"][0]["source"]["node"], shown["moves"][0]["target"]["node"]) == ("node-1", "node-2")
    assert await front.get(answer.headers["location"], credential=OPERATOR) == shown
    assert problem(await front.send("POST", path, ASKED))[:2] == (403, "forbidden")
    assert problem(await front.send("GET", answer.headers["location"]))[:2] == (403, "forbidden")
    wrong_kind = answer.headers["location"].replace("defragmentation", "what-if")
    assert problem(await front.send("GET", wrong_kind, credential=OPERATOR))[:2] == (404, "not-found")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"replicas": 0}, "/replicas"),
    ({"priority": -1}, "/priority"),
    ({"pool": "nowhere"}, "/pool"),
    ({"colour": "red"}, "/colour"),
    ({"resources": {"gpu": "9", "cpu_milli": 1, "memory_mib": 1}}, "/resources/gpu"),
    ({"resources": {"mig_profile": "9g.90gb", "cpu_milli": 1, "memory_mib": 1}}, "/resources/mig_profile"),
    ({"resources": {"gpu": "1", "cpu_milli": -1, "memory_mib": 1}}, "/resources/cpu_milli"),
    ({"resources": {"gpu": "1", "workers": 0, "cpu_milli": 1, "memory_mib": 1}}, "/resources/workers"),
]


@pytest.mark.parametrize(("changes", "pointer"), BAD, ids=[pointer for _, pointer in BAD])
async def test_a_question_that_makes_no_sense_is_not_asked(front: Front, changes: Any, pointer: str) -> None:
    await front.learn(observed())
    assert problem(await front.send("POST", NEVER, ASKED | changes)) == (422, "invalid-request", [pointer])
    assert front.said(AskWhatIf) == []


async def test_a_pools_owner_is_not_flooded(front: Front) -> None:
    await front.learn(observed())
    for _ in range(MOST_OPEN):
        assert (await front.send("POST", NEVER, ASKED)).status_code == 202
    refused = await front.send("POST", NEVER, ASKED)
    assert problem(refused)[:2] == (429, "too-many-questions")
    assert refused.headers["retry-after"] == "60"
    assert len(front.said(AskWhatIf)) == MOST_OPEN
    assert (await front.send("POST", NEVER, ASKED, credential=OPERATOR)).status_code == 202, "others may ask"
    await front.learn(answered(front.said(AskWhatIf)[0].data))
    assert (await front.send("POST", NEVER, ASKED)).status_code == 202
    front.clock.advance(61)
    assert (await front.send("POST", NEVER, ASKED)).status_code == 202, "what nobody answers does not block for ever"


async def test_an_answer_that_nobody_waits_for_any_more_is_no_error(front: Front) -> None:
    await front.learn(answered(AskWhatIf(pool="default", question_id=uuid4(), demand=ASKED)))
    assert front.rung == []
