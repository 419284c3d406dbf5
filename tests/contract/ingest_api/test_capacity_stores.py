"""The contract of reservations, nodes, queues and questions: what is kept, counted, replaced, and shown to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from schemas.capacity import (
    CapacityDemand,
    DefragmentationPlanned,
    Eviction,
    Move,
    QueueReported,
    WhatIfAnswered,
    WouldBe,
)
from schemas.envelope import Event
from schemas.placement import RejectedPlace
from schemas.resources import Allocation, Resources
from services.ingest_api.domain.questions import Question, QuestionKind
from services.ingest_api.domain.reservation import Reservation, fold_reservation
from services.ingest_api.domain.view import DeploymentView
from services.ingest_api.ports import Stores, Transactions
from tests.fakes.ingest_api.builders import (
    NOW,
    event,
    lost,
    observed,
    preempted,
    queued,
    reported,
    requested,
    reserved,
    waits,
)

LATER = NOW + timedelta(hours=1)
SLICE = Resources(gpu_count=1, gpu_milli=142, mig_profile="1g.10gb", cpu_milli=1000, memory_mib=1000)


def whole(held: UUID, about: UUID, *places: Allocation, **changes: Any) -> Reservation:
    """A reservation with everything in it."""
    alternatives = (RejectedPlace(node="node-7", score=3, why="it would leave a hole"),)
    data = reserved(held, deployment_id=about, score=5, alternatives=alternatives, credit_milli=7, **changes)
    if places:
        data = data.model_copy(update={"allocations": places, "gpu_milli": 1})
    made: Reservation | None = None
    for said in (data, lost((0,), held), queued(held), preempted((2,), held)):
        made = fold_reservation(made, event(said))
    assert made is not None
    return made


async def test_a_reservation_is_kept_as_it_stands_until_it_is_released(
    door: Transactions, ours: UUID, theirs: UUID
) -> None:
    held, about = uuid4(), uuid4()
    first = whole(held, about)
    assert (len(first.lost), len(first.draining), first.waiting is not None) == (1, 1, True), "nothing is left out"
    async with door.platform(ours) as stores:
        assert await stores.reservations.find(held) is None
        await stores.reservations.keep(about, first)
        assert await stores.reservations.find(held) == first, "in the same transaction too"
        again = first.model_copy(update={"waiting": None, "gpu_milli": 1, "revision": 3, "lost": ()})
        await stores.reservations.keep(about, again)
        assert await stores.reservations.find(held) == again
    async with door.tenant(ours) as stores:
        assert await stores.reservations.of_deployment(about) == [again]
    async with door.tenant(theirs) as stores:
        assert await stores.reservations.find(held) is None
        assert await stores.reservations.of_deployment(about) == []
    async with door.platform(theirs) as stores:
        await stores.reservations.release(held)
    async with door.platform(ours) as stores:
        assert await stores.reservations.find(held) == again, "nobody else releases it"
        await stores.reservations.release(held)
        assert await stores.reservations.find(held) is None
        await stores.reservations.release(held)
        await stores.reservations.keep(about, first)
        assert await stores.reservations.find(held) == first


async def test_reservations_stand_by_revision_and_stage(door: Transactions, ours: UUID) -> None:
    about = uuid4()
    async with door.platform(ours) as stores:
        waiting = Reservation(reservation_id=uuid4(), pool="default")
        await stores.reservations.keep(about, waiting)
        for revision, stage in ((2, 0), (1, 1), (1, 0)):
            await stores.reservations.keep(about, whole(uuid4(), about, revision=revision, stage=stage))
        listed = await stores.reservations.of_deployment(about)
    assert [(each.revision, each.stage) for each in listed] == [(1, 0), (1, 1), (2, 0), (None, None)]


def place(node: str, *devices: int, gpu_milli: int = 500, **changes: Any) -> Allocation:
    """Of replica 3, which nothing happened to."""
    return Allocation(replica=3, node=node, devices=devices, gpu_milli=gpu_milli, **changes)


async def test_nodes_are_as_they_were_seen_last_with_what_all_hold(
    door: Transactions, ours: UUID, theirs: UUID
) -> None:
    node, other, pool = (f"{letter}-{uuid4().hex[:8]}" for letter in "nnp")
    async with door.platform(None) as stores:
        assert not await stores.capacity.has_nodes(pool)
        for name in (node, other):
            await stores.capacity.observe(observed(name, pool), NOW)
        traits = {"failed_devices": (1, 3), "is_cordoned": True, "zone": "z-1"}
        await stores.capacity.observe(observed(node, pool, gpu_count=4, **traits), LATER)
        assert await stores.capacity.has_nodes(pool)
    async with door.tenant(ours) as stores:
        assert await stores.capacity.has_nodes(pool), "a tenant may ask about it"
    for owner, places in ((ours, [place(node, 0, 2), place(other, 0)]), (theirs, [place(node, 0)])):
        async with door.platform(owner) as stores:
            await stores.reservations.keep(uuid4(), whole(uuid4(), uuid4(), *places))
    async with door.platform(None) as stores:
        nodes = {each.node: each for each in await stores.capacity.nodes(pool)}
        assert list(nodes) == sorted((node, other))
        assert (nodes[node].gpu_total_milli, nodes[node].gpu_used_milli) == (4000, 1500)
        assert (nodes[node].observed_at, nodes[other].gpu_used_milli) == (LATER, 500)
        assert nodes[node].model_dump(include=set(traits)) == traits
        assert (nodes[other].failed_devices, nodes[other].is_cordoned, nodes[other].zone) == ((), False, "")
        assert {node, other} <= {each.node for each in await stores.capacity.nodes(None)}
        await stores.capacity.remove(other)
        await stores.capacity.remove("nobodys")
        assert [each.node for each in await stores.capacity.nodes(pool)] == [node]


async def named_deployment(stores: Stores, owner: UUID, name: str) -> UUID:
    """A deployment of which the read model knows the name."""
    about = uuid4()
    await stores.views.save(DeploymentView(deployment_id=about, name=name), said(owner, about))
    return about


def said(owner: UUID, about: UUID) -> Event[Any]:
    """An event about a deployment."""
    return event(requested().model_copy(update={"deployment_id": about}))


async def test_holders_are_a_tenants_own_and_amounts_are_everybodys(
    door: Transactions, ours: UUID, theirs: UUID
) -> None:
    node, deployments = f"n-{uuid4().hex[:8]}", dict[UUID, UUID]()
    cut = place(node, 1, gpu_milli=142, mig_profile="1g.10gb", mig_start=3)
    for owner, places in ((ours, (place(node, 0), cut)), (theirs, (place(node, 0, 2),))):
        async with door.platform(owner) as stores:
            deployments[owner] = await named_deployment(stores, owner, "chat")
            await stores.reservations.keep(deployments[owner], whole(uuid4(), uuid4(), *places))
            waiting = Reservation(reservation_id=uuid4(), pool="default")
            await stores.reservations.keep(deployments[owner], waiting)
    async with door.tenant(ours) as stores:
        own = [each for each in await stores.capacity.holdings() if each.allocation.node == node]
        names = await stores.capacity.deployment_names(deployments.values())
        tenants = await stores.capacity.tenant_names([ours, theirs])
    assert [each.allocation for each in own] == [place(node, 0), cut]
    assert {(each.tenant_id, each.deployment_id, each.deployment) for each in own} == {
        (ours, deployments[ours], "chat")
    }
    assert own[0].tenant == f"t-{ours.hex[:12]}"
    async with door.platform(ours) as stores:
        assert [each for each in await stores.capacity.holdings() if each.allocation.node == node] == own
    assert (list(names), list(tenants)) == ([deployments[ours]], [ours])
    async with door.platform(None) as stores:
        everybodys = [each for each in await stores.capacity.holdings() if each.allocation.node == node]
        amounts = [each for each in await stores.capacity.allocations() if each.node == node]
        names = await stores.capacity.deployment_names(deployments.values())
        tenants = await stores.capacity.tenant_names([ours, theirs])
    assert {each.tenant_id for each in everybodys} == {ours, theirs}
    assert sorted(amounts, key=str) == sorted([place(node, 0), cut, place(node, 0, 2)], key=str)
    assert (set(names), set(tenants)) == (set(deployments.values()), {ours, theirs})


async def report(door: Transactions, *reports: QueueReported) -> None:
    """What the projection does with reports."""
    for data in reports:
        async with door.platform(None) as stores:
            await stores.queues.report(data)


async def test_the_newest_report_replaces_a_pools_queue_and_each_tenant_sees_its_own(
    door: Transactions, ours: UUID, theirs: UUID
) -> None:
    pool, other = f"p-{uuid4().hex[:8]}", f"q-{uuid4().hex[:8]}"
    first = reported(waits(1, ours), waits(2, theirs, estimated_start=LATER), waits(3, ours), pool=pool)
    await report(door, first, reported(pool=other))
    async with door.platform(None) as stores:
        (seen,) = await stores.queues.reports(pool)
        assert {pool, other} <= {each.pool for each in await stores.queues.reports(None)}
    assert (seen.entries, seen.hints, seen.length, seen.gpu_milli) == (first.entries, first.hints, 3, 3000)
    assert (seen.at, seen.as_of_decision) == (NOW, 17)
    async with door.tenant(ours) as stores:
        (seen,) = await stores.queues.reports(pool)
    assert ([entry.position for entry in seen.entries], seen.length, seen.gpu_milli) == ([1, 3], 3, 3000)
    # when newer and older ones come
    newer = reported(waits(1, theirs), pool=pool, as_of_decision=18)
    await report(door, newer.model_copy(update={"at": LATER}), newer, first)
    async with door.tenant(ours) as stores:
        (seen,) = await stores.queues.reports(pool)
        assert (seen.entries, seen.length, seen.at) == ((), 1, LATER)
    await report(door, reported(pool=pool, as_of_decision=19, hints=()))
    async with door.platform(None) as stores:
        (seen,) = await stores.queues.reports(pool)
        assert (seen.entries, seen.hints, seen.length) == ((), (), 0)


def question(owner: UUID, kind: QuestionKind = QuestionKind.WHAT_IF) -> Question:
    """A question about four slices."""
    demand = CapacityDemand(replicas=4, resources=SLICE, priority=7, preemptible=True, expected_seconds=60)
    return Question(
        question_id=uuid4(),
        kind=kind,
        tenant_id=owner,
        pool="default",
        demand=demand,
        asked_by="user:ann",
        asked_at=NOW,
    )


def would_wait(asked: Question) -> WhatIfAnswered:
    """An answer with everything in it."""
    evicted = Eviction(reservation_id=uuid4(), deployment_id=uuid4(), replicas=(0, 2), gpu_milli=1000, priority=3)
    return WhatIfAnswered(
        question_id=asked.question_id,
        pool="default",
        outcome=WouldBe.PLACED_AFTER_DRAINING,
        detail="2 replicas make room",
        allocations=(place("n", 1),),
        alternatives=(RejectedPlace(node="m", score=1, why="worse"),),
        evictions=(evicted,),
        estimated_start=LATER,
        as_of_decision=18,
    )


def plan(asked: Question) -> DefragmentationPlanned:
    """A plan of one move."""
    move = Move(reservation_id=uuid4(), deployment_id=uuid4(), source=place("n", 1), target=place("m", 0))
    return DefragmentationPlanned(
        question_id=asked.question_id,
        pool="default",
        is_possible=True,
        detail="one move",
        moves=(move,),
        moved_gpu_milli=500,
        as_of_decision=18,
    )


async def test_questions_without_an_answer_are_counted_by_tenant(door: Transactions, ours: UUID, theirs: UUID) -> None:
    first, second = question(ours), question(ours)
    for asked in (first, second, question(theirs)):
        async with door.platform(asked.tenant_id) as stores:
            await stores.questions.ask(asked)
    async with door.platform(ours) as stores:
        assert (await stores.questions.unanswered(NOW), await stores.questions.unanswered(LATER)) == (2, 0)
    async with door.platform(None) as stores:
        await stores.questions.answer(would_wait(first), LATER)
    async with door.tenant(ours) as stores:
        assert await stores.questions.unanswered(NOW) == 1


@pytest.mark.parametrize("kind", list(QuestionKind))
async def test_a_question_is_answered_once_and_shown_to_its_tenant(
    door: Transactions, ours: UUID, theirs: UUID, kind: QuestionKind
) -> None:
    asked = question(ours, kind)
    answer = would_wait(asked) if kind is QuestionKind.WHAT_IF else plan(asked)
    async with door.tenant(ours) as stores:
        await stores.questions.ask(asked)
    async with door.tenant(ours) as stores:
        assert await stores.questions.find(asked.question_id) == asked
    async with door.platform(theirs) as stores:
        assert await stores.questions.answer(answer, LATER), "whoever the batch speaks for"
        assert not await stores.questions.answer(answer.model_copy(update={"detail": "other"}), LATER)
        assert not await stores.questions.answer(answer.model_copy(update={"question_id": uuid4()}), LATER)
        assert await stores.questions.find(asked.question_id) is None
    answered = asked.model_copy(update={"answer": answer, "answered_at": LATER})
    async with door.tenant(ours) as stores:
        assert await stores.questions.find(asked.question_id) == answered
        assert await stores.questions.find(uuid4()) is None
    async with door.tenant(theirs) as stores:
        assert await stores.questions.find(asked.question_id) is None
    async with door.platform(None) as stores:
        assert await stores.questions.find(asked.question_id) == answered
