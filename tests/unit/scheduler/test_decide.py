"""One request against a pool: placed, queued or rejected, and the reason in words."""

from __future__ import annotations

import pytest

from schemas.base import EventData
from schemas.placement import QueueReason
from schemas.resources import Allocation
from services.scheduler.domain.asking import request_of
from services.scheduler.domain.decision import Alternative, Placed, Queued, Rejected
from services.scheduler.domain.settle import decide
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    cpu_only,
    entry,
    gpus,
    node,
    plan_changed,
    requested,
    reserve,
    suspended,
    tenant,
)
from tests.fakes.scheduler.pool import Pool


def test_a_first_stage_is_placed() -> None:
    pool = Pool(node("n1", 2), tenant())
    decision = pool.decision(requested("chat", gpus(1, 500), first=2))
    assert isinstance(decision, Placed)
    assert decision.allocations == (
        Allocation(replica=0, node="n1", devices=(0,), gpu_milli=500),
        Allocation(replica=1, node="n1", devices=(0,), gpu_milli=500),
    )
    request = pool.snapshot.reservations[next(iter(pool.snapshot.reservations))].request
    assert (request.stage, request.revision, request.priority, request.gpu_milli) == (0, 3, 7, 1000)


def test_an_explanation_names_the_places_the_policy_and_the_alternatives() -> None:
    pool = Pool(node("n1", 8), node("n2", 2), node("n3", 4), node("n4", 2), node("n5", 8), tenant(), policy="best_fit")
    decision = pool.decision(reserve("r", gpus(2)))
    assert isinstance(decision, Placed)
    assert decision.explanation == (
        "placed on n2 devices 0,1: tightest fit of 5 feasible nodes among 5; best alternatives: "
        "n4 (same score, higher rank), n3 (score 66 below 100), n1 (score 0 below 100)"
    )
    assert decision.score == 100
    assert decision.alternatives[1] == Alternative("n3", 66, "score 66 below 100")


def test_an_explanation_of_many_replicas_stays_short() -> None:
    decision = Pool(*(node("n" * 250 + str(i)) for i in range(100)), tenant()).decision(reserve("r", replicas=700))
    assert isinstance(decision, Placed)
    assert "and 695 more" in decision.explanation
    assert len(decision.explanation) <= 2000


def test_without_alternative_it_says_so() -> None:
    decision = Pool(node("n1"), tenant(), policy="best_fit").decision(reserve("r", cpu_only()))
    assert isinstance(decision, Placed)
    assert decision.explanation == "placed on n1: tightest fit of 1 feasible nodes among 1; no alternative"


REFUSALS: list[tuple[EventData, QueueReason, str]] = [
    (reserve("r", gpus(8)), QueueReason.TOO_LARGE_FOR_POOL, "the whole of pool 'default' could hold 0"),
    (reserve("r", gpus(2), replicas=4), QueueReason.TOO_LARGE_FOR_POOL, "4 replicas of 2 x 1000 milli-GPU"),
    (reserve("r", gpus(cpu=64_001)), QueueReason.TOO_LARGE_FOR_POOL, "64001 milli-CPU"),
    (reserve("r", cpu_only(memory=262_145)), QueueReason.TOO_LARGE_FOR_POOL, "262145 MiB"),
    (reserve("r", gpus(1, 1000, "H100", "H200")), QueueReason.MODEL_UNAVAILABLE, "has H100 or H200"),
    (reserve("r", pool="elsewhere"), QueueReason.TOO_LARGE_FOR_POOL, "pool 'elsewhere' does not exist"),
    (reserve("r", gpus(4)), QueueReason.QUOTA_EXCEEDED, "limit: 3000 milli-GPU, in use: 0, asked: 4000"),
]


@pytest.mark.parametrize(("asked", "reason", "words"), REFUSALS)
def test_what_can_never_be_is_rejected_with_numbers(asked: EventData, reason: QueueReason, words: str) -> None:
    decision = Pool(node("n1", 4), node("n2", 2), tenant(limit=3000)).decision(asked)
    assert isinstance(decision, Rejected)
    assert decision.reason is reason
    assert words in decision.detail


def test_a_pool_with_nodes_but_no_gpu_has_no_model() -> None:
    decision = Pool(node("n1", 0), tenant()).decision(reserve("r"))
    assert decision == Rejected(
        QueueReason.MODEL_UNAVAILABLE, "no node of pool 'default' has a GPU; ask for what it has"
    )


def test_an_empty_pool_queues_whatever_is_asked() -> None:
    pool = Pool(tenant())
    decision = pool.decision(reserve("r", gpus(8, 1000, "H100")))
    assert decision == Queued(1, QueueReason.NO_FREE_CAPACITY, "pool 'default' has no open nodes")


def test_the_limit_counts_what_the_tenant_holds_and_is_exact() -> None:
    pool = Pool(node("n1"), tenant(limit=300), tenant(OTHER_TEAM), reserve("a", gpus(1, 100)))
    pool.when(reserve("foreign", gpus(4)), OTHER_TEAM)
    assert isinstance(pool.decision(reserve("b", gpus(1, 200))), Placed)
    decision = pool.decision(reserve("c", gpus(1, 1)))
    assert isinstance(decision, Rejected)
    assert decision.detail.startswith("limit: 300 milli-GPU, in use: 300, asked: 1;")


def test_a_request_without_gpu_needs_no_room_under_the_limit() -> None:
    pool = Pool(node("n1"), tenant(limit=1000), reserve("a"), plan_changed(500))
    assert isinstance(pool.decision(reserve("b", cpu_only())), Placed)


def test_a_suspended_tenant_is_refused() -> None:
    decision = Pool(node("n1"), tenant(), suspended()).decision(reserve("r"))
    assert isinstance(decision, Rejected)
    assert decision.reason is QueueReason.TENANT_SUSPENDED


def test_a_tenant_whose_plan_is_not_known_yet_waits() -> None:
    decision = Pool(node("n1")).decision(reserve("r"))
    assert isinstance(decision, Queued)
    assert decision.reason is QueueReason.QUOTA_EXCEEDED
    assert "is not known yet" in decision.detail


def test_it_waits_for_what_is_short() -> None:
    pool = Pool(node("n1", 4), tenant(), reserve("a", gpus(2)))
    decision = pool.decision(reserve("b", gpus(4)))
    assert decision == Queued(1, QueueReason.NO_FREE_CAPACITY, "4000 milli-GPU asked, 2000 free")


def test_it_waits_although_the_sums_would_do() -> None:
    pool = Pool(node("n1", 2), node("n2", 2), tenant(), reserve("a", gpus(1, 600)), reserve("b", gpus(2)))
    decision = pool.decision(reserve("c", gpus(2), priority=5))
    assert isinstance(decision, Queued)
    assert (decision.position, decision.reason) == (1, QueueReason.NO_FREE_CAPACITY)
    pool.when(reserve("d", gpus(1, 500)))
    fragmented = pool.decision(reserve("e", gpus(1, 600)))
    assert isinstance(fragmented, Queued)
    assert (fragmented.position, fragmented.reason) == (1, QueueReason.FRAGMENTED)
    assert fragmented.detail.startswith("900 milli-GPU, 125000 milli-CPU, ")


def test_the_position_follows_priority_then_arrival() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("a"))
    positions = []
    for name, priority in (("b", 100), ("c", 100), ("d", 200), ("e", 150), ("f", 0)):
        decision = pool.decision(reserve(name, priority=priority))
        assert isinstance(decision, Queued)
        positions.append(decision.position)
    assert positions == [1, 2, 1, 2, 5]


def test_deciding_changes_nothing() -> None:
    pool = Pool(node("n1", 4), tenant(), reserve("a", gpus(1, 300)))
    before = pool.snapshot.cluster.device_taken.copy()
    request = request_of(pool.snapshot, entry(reserve("b", gpus(1), replicas=3)))
    first = decide(pool.snapshot, request)
    assert first == decide(pool.snapshot, request)
    assert (pool.snapshot.cluster.device_taken == before).all()
    assert len(pool.snapshot.reservations) == 1
