"""Each reason to wait or to be refused, provoked; and which one is told where several hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas.placement import QueueReason
from schemas.tenant import PlanChanged
from services.scheduler.domain.deciding.reasons import why
from services.scheduler.domain.decision import Decided, Decision, Placed, Queued, Rejected
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    TEAM,
    gpus,
    identity,
    mig,
    node,
    node_removed,
    plan,
    plan_changed,
    quota,
    release,
    reserve,
    resumed,
    suspended,
    tenant,
    time_passed,
)
from tests.fakes.scheduler.pool import Pool, placed


def last(pool: Pool, *inputs: object) -> Decision:
    """What is decided last of all."""
    decided = [each for data in inputs for each in pool.when(data) if isinstance(each, Decided)]  # type: ignore[arg-type]
    return decided[-1].decision


def model_unavailable() -> Decision:
    return last(Pool(node("n"), tenant()), reserve("r", gpus(1, 1000, "H100")))


def too_large() -> Decision:
    return last(Pool(node("n", 8), tenant()), reserve("r", gpus(8), replicas=2))


def deadline_passed() -> Decision:
    pool = Pool(node("n", 1), tenant(), reserve("a"), reserve("r", start_within_seconds=5))
    pool.clock.advance(5)
    return last(pool, time_passed())


def tenant_suspended() -> Decision:
    return last(Pool(node("n"), tenant(), suspended()), reserve("r"))


def quota_exceeded() -> Decision:
    return last(Pool(node("n"), tenant(limit=0)), reserve("r"))


def borrowing_limit() -> Decision:
    return last(Pool(node("n"), tenant(quotas=(quota(0, borrow=0),))), reserve("r"))


def waiting_for_preemption() -> Decision:
    pool = Pool(node("n", 1), tenant(), reserve("low", preemptible=True, priority=1))
    return last(pool, reserve("r", priority=2))


def reserved_for_other() -> Decision:
    pool = Pool(node("n", 2), tenant(), reserve("a", expected_seconds=60), reserve("promised", gpus(2)))
    return last(pool, reserve("r"))


def fragmented() -> Decision:
    pool = Pool(node("n1", 2), node("n2", 2), tenant(), reserve("a", gpus(2)), reserve("b", gpus(2)))
    return last(pool, release("a"), reserve("c"), node("n3", 1), reserve("r", gpus(2)))


def no_free_capacity() -> Decision:
    return last(Pool(node("n", 1), tenant(), reserve("a")), reserve("r"))


PROVOKED: dict[QueueReason, tuple[Callable[[], Decision], type[Decision], str]] = {
    QueueReason.MODEL_UNAVAILABLE: (model_unavailable, Rejected, "no node of pool 'default' has H100"),
    QueueReason.TOO_LARGE_FOR_POOL: (too_large, Rejected, "the whole of pool 'default' could hold 1"),
    QueueReason.DEADLINE_PASSED: (deadline_passed, Rejected, "it was to start by 2026-03-01 12:00:05 UTC"),
    QueueReason.TENANT_SUSPENDED: (tenant_suspended, Rejected, "resume it"),
    QueueReason.QUOTA_EXCEEDED: (quota_exceeded, Rejected, "limit: 0 milli-GPU, in use: 0, asked: 1000"),
    QueueReason.BORROWING_LIMIT: (borrowing_limit, Queued, "guaranteed 0 milli-GPU and 0 to borrow"),
    QueueReason.WAITING_FOR_PREEMPTION: (waiting_for_preemption, Queued, "1 replicas of 1 reservations"),
    QueueReason.RESERVED_FOR_OTHER: (reserved_for_other, Queued, "kept for requests that go before it"),
    QueueReason.FRAGMENTED: (fragmented, Queued, "2000 milli-GPU, "),
    QueueReason.NO_FREE_CAPACITY: (no_free_capacity, Queued, "1000 milli-GPU asked, 0 free"),
}


def test_the_table_names_each_reason() -> None:
    assert set(PROVOKED) == set(QueueReason)


@pytest.mark.parametrize("reason", PROVOKED)
def test_each_reason_is_told_where_it_holds(reason: QueueReason) -> None:
    provoke, kind, words = PROVOKED[reason]
    decision = provoke()
    assert isinstance(decision, kind)
    assert isinstance(decision, Queued | Rejected)
    assert decision.reason is reason
    assert words in decision.detail


def reason_of(pool: Pool, name: str) -> QueueReason:
    waiting = pool.snapshot.queue.find(identity(name))
    assert waiting is not None
    return why(pool.snapshot, waiting)[0]


def test_the_first_of_the_order_is_told_while_several_hold() -> None:
    """One request for which everything is wrong; one thing after another is put right."""
    pool = Pool(tenant(), tenant(OTHER_TEAM), reserve("r", gpus(2, 1000, "A100"), priority=9))
    no_loan = plan(1000, quotas=(quota(0, borrow=1000),))
    for data in (PlanChanged(tenant_id=TEAM, plan=no_loan), suspended(), node("t", 2, "T4")):
        pool.when(data)
    told = [reason_of(pool, "r")]
    for steps in (
        [node("a1", 1, "A100")],
        [node("a2", 2, "A100"), reserve("held", gpus(2, 1000, "A100"), preemptible=True, priority=1)],
        [resumed()],
        [PlanChanged(tenant_id=TEAM, plan=plan(9000, quotas=(quota(0, borrow=1000),)))],
        [plan_changed(9000)],
    ):
        for step in steps:
            pool.when(step, OTHER_TEAM)
        told.append(reason_of(pool, "r"))
    assert told == [
        QueueReason.MODEL_UNAVAILABLE,
        QueueReason.TOO_LARGE_FOR_POOL,
        QueueReason.TENANT_SUSPENDED,
        QueueReason.QUOTA_EXCEEDED,
        QueueReason.BORROWING_LIMIT,
        QueueReason.WAITING_FOR_PREEMPTION,
    ]
    assert told == sorted(told, key=list(QueueReason).index)


def test_what_waits_says_so_when_its_nodes_went() -> None:
    pool = Pool(node("n", 2), node("t", 2, "T4"), tenant(), reserve("a", gpus(2, 1000, "A100")))
    pool.when(reserve("r", gpus(2, 1000, "A100")))
    assert reason_of(pool, "r") is QueueReason.NO_FREE_CAPACITY
    pool.when(node_removed("n"))
    assert reason_of(pool, "r") is QueueReason.MODEL_UNAVAILABLE
    pool.when(node_removed("t"))
    assert reason_of(pool, "r") is QueueReason.NO_FREE_CAPACITY
    assert isinstance(pool.decision(reserve("s", gpus(8))), Queued)


def test_a_cordoned_node_refuses_nobody_for_good() -> None:
    """It will be open again; a node that is gone may not."""
    pool = Pool(node("n", 8, "H100", cordoned=True), node("t", 2, "T4"), tenant())
    decision = pool.decision(reserve("r", gpus(8, 1000, "H100")))
    assert isinstance(decision, Queued)
    assert decision.reason is QueueReason.NO_FREE_CAPACITY
    assert isinstance(pool.decision(reserve("more", gpus(8, 1000, "H100"), replicas=2)), Rejected)
    assert placed(pool.when(node("n", 8, "H100"))) == [identity("r")]


def test_slices_are_short_of_memory_or_fragmented() -> None:
    """Two 3g slices need half of the memory each; a 1g at the wrong place leaves enough of it and no place."""
    pool = Pool(node("n", 1, "A100-SXM4-80GB"), tenant())
    assert isinstance(pool.decision(reserve("a", mig("3g.40gb"))), Placed)
    short = pool.decision(reserve("b", mig("7g.80gb")))
    assert isinstance(short, Queued)
    assert short.reason is QueueReason.NO_FREE_CAPACITY
    assert short.detail == "8 eighths of a GPU's memory for slices asked, 4 free"
    for number in range(3):
        pool.when(reserve(f"c{number}", mig("1g.10gb")))
    pool.when(release("c1"))
    fragmented = pool.decision(reserve("d", mig("2g.20gb")))
    assert isinstance(fragmented, Queued)
    assert fragmented.reason is QueueReason.FRAGMENTED
