"""Questions about capacity: an answer is what a request would get, and a plan can be carried out as it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.capacity import AskDefragmentation, DefragmentationPlanned, WhatIfAnswered, WouldBe
from schemas.placement import QueueReason
from schemas.resources import Resources, Topology
from schemas.tenant import PLATFORM_TENANT
from services.scheduler.domain.asking import request_of
from services.scheduler.domain.decision import Answered, Decided, Drain, Outcome, Placed, Queued, Rejected
from services.scheduler.domain.model import Waiting
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.placing.place import place
from services.scheduler.domain.pool.snapshot import Snapshot
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    TEAM,
    ask_defragmentation,
    ask_what_if,
    cpu_only,
    entry,
    gpus,
    identity,
    mig,
    node,
    quota,
    reserve,
    suspended,
    tenant,
)
from tests.fakes.scheduler.pool import Pool
from tests.fakes.scheduler.truths import content


def gang(workers: int, count: int = 1, topology: Topology = Topology.ANY) -> Resources:
    return gpus(count).model_copy(update={"workers": workers, "topology": topology})


def answer(pool: Pool, demand: Resources, tenant_id: UUID = TEAM, **more: Any) -> WhatIfAnswered:
    (outcome,) = pool.when(ask_what_if(demand, **more), tenant_id)
    assert isinstance(outcome, Answered)
    assert isinstance(outcome.answer, WhatIfAnswered)
    assert outcome.answer.question_id == identity("question")
    return outcome.answer


def plan(pool: Pool, demand: Resources, tenant_id: UUID = TEAM, **more: Any) -> DefragmentationPlanned:
    (outcome,) = pool.when(ask_defragmentation(demand, **more), tenant_id)
    assert isinstance(outcome, Answered)
    assert isinstance(outcome.answer, DefragmentationPlanned)
    return outcome.answer


def test_it_would_fit_and_where() -> None:
    pool = Pool(node("n1", 2), node("n2", 4), tenant(), policy="best_fit")
    told = answer(pool, gpus(2))
    assert (told.outcome, told.allocations[0].node, told.alternatives[0].node) == (WouldBe.PLACED, "n1", "n2")
    assert pool.snapshot.reservations == {}


def test_who_would_be_drained() -> None:
    pool = Pool(node("n1", 2), tenant(), reserve("low", priority=1, replicas=2, preemptible=True))
    told = answer(pool, gpus(1), priority=500)
    assert told.outcome is WouldBe.PLACED_AFTER_DRAINING
    (eviction,) = told.evictions
    assert (eviction.reservation_id, eviction.replicas, eviction.gpu_milli, eviction.priority) == (
        identity("low"),
        (1,),
        1000,
        1,
    )
    assert pool.snapshot.claims == {}


def test_when_it_would_start() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("a", expected_seconds=600))
    told = answer(pool, gpus(1))
    assert (told.outcome, told.reason, told.position) == (WouldBe.QUEUED, QueueReason.NO_FREE_CAPACITY, 1)
    assert told.estimated_start is not None
    assert (told.estimated_start - pool.clock.now()).total_seconds() == 600


@pytest.mark.parametrize(
    ("demand", "reason"),
    [
        (gpus(8), QueueReason.TOO_LARGE_FOR_POOL),
        (gpus(1, 1000, "H100"), QueueReason.MODEL_UNAVAILABLE),
        (gpus(2), QueueReason.QUOTA_EXCEEDED),
    ],
)
def test_why_it_would_be_refused(demand: Resources, reason: QueueReason) -> None:
    told = answer(Pool(node("n1", 2), tenant(limit=1000)), demand)
    assert (told.outcome, told.reason) == (WouldBe.REJECTED, reason)


def test_an_operator_asks_without_limits() -> None:
    assert answer(Pool(node("n1", 2)), gpus(2), PLATFORM_TENANT).outcome is WouldBe.PLACED
    assert plan(Pool(node("n1", 2)), gpus(2), PLATFORM_TENANT).is_possible


DEMANDS = st.sampled_from(
    [
        gpus(1),
        gpus(2),
        gpus(1, 300),
        gpus(1, 600),
        gpus(1, 500, "T4"),
        mig("1g.10gb"),
        mig("3g.40gb"),
        gang(2),
        gang(2, 1, Topology.SAME_ZONE),
        cpu_only(30_000),
    ]
)
KINDS = st.sampled_from(["preemptible", "is_elastic", "plain", "plain", "timed"])
HELD = st.tuples(DEMANDS, st.integers(1, 3), st.integers(0, 3), KINDS, st.sampled_from([TEAM, OTHER_TEAM]))
NODES = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["A100-80", "T4"])), min_size=1, max_size=3)
Held = list[tuple[Resources, int, int, str, UUID]]


def pool_of(nodes: list[tuple[int, str]], held: Held, waiting: int = 1000) -> Pool:
    pool = Pool(tenant(limit=8000, quotas=(quota(2000),), waiting=waiting), tenant(OTHER_TEAM, limit=8000))
    for number, (count, model) in enumerate(nodes):
        pool.when(node(f"n{number}", count, model, zone="ew"[number % 2]))
    for number, (demand, replicas, priority, kind, tenant_id) in enumerate(held):
        more: dict[str, Any] = {"timed": {"expected_seconds": 60}, "plain": {}}.get(kind, {kind: True})
        pool.when(reserve(f"h{number}", demand, replicas=replicas, priority=priority, **more), tenant_id)
    return pool


@settings(max_examples=200, deadline=None)
@given(
    nodes=NODES,
    held=st.lists(HELD, max_size=9),
    demand=DEMANDS,
    replicas=st.integers(1, 2),
    priority=st.integers(0, 4),
    waiting=st.sampled_from([0, 1, 2, 1000, 1000]),
)
def test_a_request_gets_what_was_answered(
    nodes: list[tuple[int, str]], held: Held, demand: Resources, replicas: int, priority: int, waiting: int
) -> None:
    pool = pool_of(nodes, held, waiting)
    before = content(pool.snapshot) | {"reached": ()}
    told = answer(pool, demand, replicas=replicas, priority=priority)
    assert content(pool.snapshot) | {"reached": ()} == before
    outcomes = pool.when(reserve("new", demand, replicas=replicas, priority=priority))
    own = [each for each in outcomes if isinstance(each, Decided) and each.request.reservation_id == identity("new")]
    decided = own[-1]
    _agree(told, decided, outcomes, pool.snapshot)


def _agree(told: WhatIfAnswered, decided: Decided, outcomes: list[Outcome], snapshot: Snapshot) -> None:
    decision = decided.decision
    drains = {
        each.request.reservation_id: each.replicas
        for each in outcomes
        if isinstance(each, Drain) and each.claimant == identity("new")
    }
    assert {each.reservation_id: each.replicas for each in told.evictions} == drains
    if isinstance(decision, Placed):
        assert (told.outcome, told.allocations, told.detail) == (
            WouldBe.PLACED,
            decision.allocations,
            decision.explanation,
        )
    elif isinstance(decision, Rejected):
        assert (told.outcome, told.reason, told.detail) == (WouldBe.REJECTED, decision.reason, decision.detail)
    elif drains:
        assert isinstance(decision, Queued)
        assert (told.outcome, told.position) == (WouldBe.PLACED_AFTER_DRAINING, decision.position)
        assert told.allocations == snapshot.claims[identity("new")].allocations
    else:
        assert (told.outcome, told.reason, told.position) == (WouldBe.QUEUED, decision.reason, decision.position)


@settings(max_examples=200, deadline=None)
@given(nodes=NODES, held=st.lists(HELD, max_size=9), demand=DEMANDS, replicas=st.integers(1, 2))
def test_a_plan_can_be_carried_out_as_it_is_written(
    nodes: list[tuple[int, str]], held: Held, demand: Resources, replicas: int
) -> None:
    """Each new place is free before the old one is; at the end the demand fits where the plan says."""
    pool = pool_of(nodes, held)
    before = content(pool.snapshot) | {"reached": ()}
    told = plan(pool, demand, replicas=replicas)
    assert content(pool.snapshot) | {"reached": ()} == before
    assert told.is_possible == bool(told.allocations)
    cluster, moved = pool.snapshot.cluster.copy(), 0
    for move in told.moves:
        reservation = pool.snapshot.reservations[move.reservation_id]
        resources = reservation.request.resources
        assert move.source in reservation.allocations
        assert (move.target.replica, move.target.worker) == (move.source.replica, move.source.worker)
        assert cluster.can_take(resources, move.target)
        cluster.take(resources, move.target)
        cluster.give(resources, move.source)
        moved += resources.total_gpu_milli
    assert told.moved_gpu_milli == moved
    for allocation in told.allocations:
        assert cluster.can_take(demand, allocation)
        cluster.take(demand, allocation)
    assert told.allocations or not _fits(pool, demand, replicas), told.detail


def _fits(pool: Pool, demand: Resources, replicas: int) -> bool:
    """Whether it would fit without any move, limits apart."""
    snapshot = pool.snapshot
    limited = snapshot.shares.gpu_milli(TEAM) + replicas * demand.total_gpu_milli > 8000
    return not limited and place(snapshot.cluster, snapshot.chooser, demand, range(replicas)) is not None


def fragmented() -> Pool:
    """Two nodes of two devices, one of each in use; `a` and `b` could be on one."""
    pool = Pool(node("n1", 1), tenant(), reserve("a"), node("n2", 1), reserve("b"))
    pool.when(node("n1", 2))
    pool.when(node("n2", 2))
    return pool


def test_one_replica_moves_and_both_devices_are_free() -> None:
    told = plan(fragmented(), gpus(2))
    (move,) = told.moves
    assert (move.source.node, move.target.node) == ("n1", "n2")
    assert (told.moved_gpu_milli, told.allocations[0].node) == (1000, "n1")
    assert told.detail == "1 replicas move, each to its new place before it leaves the old one"


def test_what_fits_needs_no_move() -> None:
    told = plan(fragmented(), gpus(1))
    assert (told.is_possible, told.moves, told.detail) == (True, (), "it fits without a move")


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        (gpus(4), "could hold 0"),
        (gpus(2).model_copy(update={"workers": 2}), "4000 milli-GPU asked, 2000 free"),
        (gpus(1, 1000, "H100"), "has H100"),
    ],
)
def test_why_nothing_helps(demand: Resources, words: str) -> None:
    told = plan(fragmented(), demand)
    assert not told.is_possible
    assert words in told.detail


def test_for_a_suspended_tenant_nothing_moves() -> None:
    pool = fragmented()
    pool.when(suspended())
    assert "suspended" in plan(pool, gpus(2)).detail


def test_gangs_do_not_move_nor_what_drains() -> None:
    pool = Pool(node("n1", 1), node("n2", 1), tenant(), reserve("gang", gang(2)))
    pool.when(node("n1", 2))
    pool.when(node("n2", 2))
    assert not plan(pool, gpus(2)).is_possible
    pool = Pool(node("n1", 1), tenant(), reserve("low", priority=0, preemptible=True))
    pool.when(reserve("high", priority=500))
    pool.when(node("n2", 1, cordoned=True))
    assert plan(pool, gpus(1)).moves == ()


def test_a_replica_moves_to_the_same_model_and_within_its_zone() -> None:
    """What its tenant may hold is counted by model, and what must lie in one zone stays there."""
    pool = Pool(node("n1", 1), tenant(), reserve("a"), node("n2", 4, "T4"), node("n1", 2))
    assert not plan(pool, gpus(2, 1000, "A100")).is_possible
    pool = Pool(node("e1", 2, zone="east"), tenant())
    pool.when(reserve("a", gang(1, 1, Topology.SAME_ZONE), replicas=2))
    pool.when(node("e1", 3, zone="east"))
    pool.when(node("w1", 2, zone="west"))
    assert not plan(pool, gpus(3)).is_possible


def test_questions_are_inputs_like_others() -> None:
    pool = Pool(tenant())
    asked = AskDefragmentation(pool="default", question_id=identity("q"), demand=ask_what_if(gpus(1)).demand)
    (outcome,) = pool.when(asked)
    assert isinstance(outcome, Answered)
    assert outcome.cause == entry(asked).cause
    assert pool.snapshot.applied == 2


def test_a_copy_is_enough_to_try() -> None:
    """What `place` finds on a cluster it finds on its copy."""
    pool = pool_of([(4, "A100-80")], [])
    request = request_of(pool.snapshot, entry(reserve("r", mig("1g.10gb"))))
    waiting = Waiting(replace(request, replicas=2), (0, 1))
    copy: Cluster = pool.snapshot.cluster.copy()
    found = place(copy, pool.snapshot.policy.chooser(copy), waiting.request.resources, waiting.replicas)
    assert found == place(pool.snapshot.cluster, pool.snapshot.chooser, waiting.request.resources, waiting.replicas)
