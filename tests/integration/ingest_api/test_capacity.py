"""Questions about capacity on the real parts: asked by REST, answered on the log, told to who waits; and what each
tenant sees of the map and the queue."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from schemas.capacity import (
    AskDefragmentation,
    AskWhatIf,
    CapacityQuestion,
    DefragmentationPlanned,
    Eviction,
    WhatIfAnswered,
    WouldBe,
)
from schemas.envelope import decode
from schemas.placement import CapacityReserved
from schemas.resources import Allocation
from tests.fakes.ingest_api.builders import lost, observed, preempted, reported, reserved, waits
from tests.integration.ingest_api.harness import SPEC, Account, FrontDoor, eventually
from tests.integration.kit.harness import header, read_all

BODY = {"replicas": 2, "resources": {"gpu": "500m", "cpu_milli": 1000, "memory_mib": 1024}}


@pytest.fixture
def pool(acme: Account) -> str:
    """A pool with a node of four GPUs, which the front door knows."""
    name = f"p-{uuid4().hex[:8]}"
    acme.tell(observed(f"n-{name}", name, gpu_count=4))
    eventually(lambda: bool(acme.api.get(f"/capacity/map?pool={name}").json()["nodes"]))
    return name


def questions(account: Account, pool: str) -> list[CapacityQuestion]:
    """What was asked of a pool, as its owner reads it."""
    records = read_all(account.door.addresses.kafka_bootstrap, CapacityQuestion.topic)
    mine = [record for record in records if record.key == pool.encode()]
    events = [decode(record.headers, record.value) for record in mine]
    return [event.data for event in events if isinstance(event.data, CapacityQuestion)]


def answered_meanwhile(account: Account, pool: str, path: str, body: Any, answer: Any) -> httpx.Response:
    """Ask, and give the answer once the question stands on the log."""
    before = len(questions(account, pool))
    asking = account.door.operator if "defragmentation" in path else account.api
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(asking.post, path, body)
        eventually(lambda: len(questions(account, pool)) > before)
        account.tell(answer(questions(account, pool)[-1]))
        return waiting.result(30)


def test_who_waits_for_an_answer_is_told_when_it_is_on_the_log(acme: Account, pool: str) -> None:
    def answer(asked: AskWhatIf) -> WhatIfAnswered:
        eviction = Eviction(reservation_id=uuid4(), deployment_id=uuid4(), replicas=(0,), gpu_milli=500, priority=3)
        return WhatIfAnswered(
            question_id=asked.question_id,
            pool=pool,
            outcome=WouldBe.PLACED_AFTER_DRAINING,
            detail="one makes room",
            evictions=(eviction,),
            as_of_decision=3,
        )

    told = answered_meanwhile(acme, pool, "/capacity/what-if?wait=25s", BODY | {"pool": pool}, answer)
    shown = told.json()
    assert (told.status_code, shown["outcome"], shown["detail"]) == (200, "placed-after-draining", "one makes room")
    assert (shown["evictions"][0]["deployment_id"], shown["evictions"][0]["gpu_milli"]) == (None, 500)
    assert acme.api.get(told.headers["location"]).json() == shown
    assert acme.door.tenant().api.get(told.headers["location"]).status_code == 404
    (asked,) = questions(acme, pool)
    assert (asked.demand.replicas, asked.demand.resources.gpu_milli) == (2, 500)
    (record,) = [
        each for each in read_all(acme.door.addresses.kafka_bootstrap, AskWhatIf.topic) if each.key == pool.encode()
    ]
    assert header(record, "ce_tenantid") == str(acme.tenant_id)


def test_an_operator_gets_a_plan(acme: Account, pool: str) -> None:
    def answer(asked: AskDefragmentation) -> DefragmentationPlanned:
        return DefragmentationPlanned(
            question_id=asked.question_id, pool=pool, is_possible=False, detail="nothing can move", as_of_decision=3
        )

    told = answered_meanwhile(acme, pool, "/capacity/defragmentation?wait=25s", BODY | {"pool": pool}, answer)
    assert (told.status_code, told.json()["is_possible"], told.json()["tenant_id"]) == (200, False, None)
    assert acme.api.post("/capacity/defragmentation", BODY).status_code == 403


def held_by(account: Account, pool: str) -> str:
    """A deployment of the account that holds half of the pool's first GPU; returns its id."""
    deployment_id = account.deploy(name="chat", resources=SPEC["resources"])
    place = Allocation(replica=0, node=f"n-{pool}", devices=(0,), gpu_milli=500)
    data: CapacityReserved = reserved(
        uuid4(), deployment_id=UUID(deployment_id), allocations=(place,), gpu_milli=500, score=87
    )
    account.tell(data)
    path = f"/deployments/{deployment_id}/placement"
    eventually(lambda: len(account.api.get(path).json()["reservations"]) == 1)
    held = account.api.get(path).json()["reservations"][0]
    assert (held["score"], held["decision"]["number"], held["words"][:7]) == (87, 17, "Stage 0")
    # and when it is asked to drain and loses its node
    about = {"deployment_id": UUID(deployment_id)}
    account.tell(preempted((0,), data.reservation_id, **about))
    eventually(lambda: account.api.get(path).json()["reservations"][0]["draining"] != [])
    account.tell(lost((0,), data.reservation_id, **about))
    eventually(lambda: account.api.get(path).json()["reservations"][0]["lost"] != [])
    account.tell(data)
    eventually(lambda: account.api.get(path).json()["reservations"][0]["lost"] == [])
    return deployment_id


def test_two_tenants_see_themselves_on_the_map_and_in_the_queue(door: FrontDoor, acme: Account, pool: str) -> None:
    # given
    stranger = door.tenant()
    deployment_id = held_by(acme, pool)
    entries = waits(1, stranger.tenant_id), waits(2, acme.tenant_id, deployment_id=UUID(deployment_id))
    acme.tell(reported(*entries, pool=pool))
    eventually(lambda: bool(acme.api.get(f"/capacity/queue?pool={pool}").json()["queues"]))
    # then
    (own,) = acme.api.get(f"/capacity/queue?pool={pool}").json()["queues"]
    assert ([(each["position"], each["deployment"]) for each in own["entries"]], own["length"]) == ([(2, "chat")], 2)
    (all_of_it,) = door.operator.get(f"/capacity/queue?pool={pool}").json()["queues"]
    assert [each["tenant"] for each in all_of_it["entries"]] == [stranger.name, acme.name]
    for client, holders, others in ((acme.api, ["chat"], 0), (stranger.api, [], 500), (door.operator, ["chat"], 0)):
        first = client.get(f"/capacity/map?pool={pool}").json()["nodes"][0]["devices"][0]
        assert ([each["deployment"] for each in first["holders"]], first["others_milli"]) == (holders, others)
        assert first["free_milli"] == 500
    (hints,) = door.operator.get(f"/capacity/hints?pool={pool}").json()["pools"]
    assert hints["hints"][0]["nodes"] == 2
