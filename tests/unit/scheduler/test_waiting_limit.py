"""How many requests of a tenant may wait in a pool: what would wait beyond that is refused, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.capacity import WhatIfAnswered, WouldBe
from schemas.placement import QueueReason
from schemas.tenant import DEFAULT_MAX_WAITING_REQUESTS, PLATFORM_TENANT
from services.scheduler.domain.decision import Answered, Decision, Placed, Queued, Rejected
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    TEAM,
    ask_what_if,
    gpus,
    identity,
    node,
    node_removed,
    plan_changed,
    release,
    requested,
    reserve,
    tenant,
    time_passed,
)
from tests.fakes.scheduler.pool import Pool, placed, summary
from tests.fakes.scheduler.truths import content

LIMIT = 1_000_000
DETAIL = (
    "it would have to wait, and 2 requests of the tenant wait in pool 'default' already, max_waiting_requests: 2; "
    "release some, or ask for a larger plan"
)


def a_full_pool(waiting: int = 2) -> Pool:
    """8 GPUs in use by a tenant of which so many requests may wait, and do."""
    pool = Pool(node("n", 8), tenant(waiting=waiting), tenant(OTHER_TEAM), reserve("full", replicas=8))
    for number in range(waiting):
        assert isinstance(pool.decision(reserve(f"w{number}")), Queued)
    return pool


def ids(*names: str) -> list[object]:
    return [identity(name) for name in names]


def is_refused(decision: Decision) -> bool:
    """Whether it is refused for the sake of this limit."""
    if isinstance(decision, Rejected):
        assert decision.reason is QueueReason.QUOTA_EXCEEDED
        assert "max_waiting_requests" in decision.detail
    return isinstance(decision, Rejected)


def answer(pool: Pool, tenant_id: Any = TEAM, **more: Any) -> WhatIfAnswered:
    before = content(pool.snapshot) | {"reached": ()}
    (outcome,) = pool.when(ask_what_if(**more), tenant_id)
    assert content(pool.snapshot) | {"reached": ()} == before
    assert isinstance(outcome, Answered)
    assert isinstance(outcome.answer, WhatIfAnswered)
    return outcome.answer


def test_one_more_than_may_wait_is_refused_with_the_numbers_and_what_to_do() -> None:
    pool = a_full_pool()
    assert pool.decision(reserve("more")) == Rejected(QueueReason.QUOTA_EXCEEDED, DETAIL)
    assert pool.waiting() == ids("w0", "w1")
    assert pool.when(reserve("more")) == [], "it was refused for good"


def test_the_first_stage_of_a_deployment_is_refused_too() -> None:
    assert is_refused(a_full_pool().decision(requested("more")))


def test_each_tenant_has_its_own_limit() -> None:
    pool = a_full_pool()
    pool.when(plan_changed(LIMIT, OTHER_TEAM, waiting=1))
    assert isinstance(pool.decision(reserve("theirs"), OTHER_TEAM), Queued)
    assert is_refused(pool.decision(reserve("theirs too"), OTHER_TEAM))


def test_what_can_be_placed_is_placed_while_others_of_the_tenant_wait() -> None:
    pool = Pool(node("n", 8), tenant(waiting=1), reserve("held", gpus(4)), reserve("large", gpus(8)))
    assert pool.waiting() == ids("large")
    assert isinstance(pool.decision(reserve("small")), Placed)
    assert is_refused(pool.decision(reserve("as large", gpus(8))))


def test_who_may_let_nothing_wait_still_gets_what_is_free() -> None:
    pool = Pool(node("n", 1), tenant(waiting=0))
    assert isinstance(pool.decision(reserve("a")), Placed)
    assert is_refused(pool.decision(reserve("b")))
    assert len(pool.snapshot.queue) == 0


def test_who_ends_waiting_makes_room_for_another() -> None:
    """By a release, by a start, and by a deadline."""
    pool = a_full_pool()
    pool.when(release("w0"))
    assert isinstance(pool.decision(reserve("a", start_within_seconds=60)), Queued)
    assert is_refused(pool.decision(reserve("b")))
    assert placed(pool.when(release("full", 0))) == ids("w1")
    assert isinstance(pool.decision(reserve("c")), Queued)
    assert is_refused(pool.decision(reserve("d")))
    pool.clock.advance(60)
    assert [summary(each) for each in pool.when(time_passed())] == ["rejected DeadlinePassed"]
    assert isinstance(pool.decision(reserve("e")), Queued)
    assert is_refused(pool.decision(reserve("f")))


def test_what_waits_goes_on_when_the_limit_is_lowered() -> None:
    pool = a_full_pool()
    pool.when(plan_changed(LIMIT, waiting=1))
    assert pool.waiting() == ids("w0", "w1")
    pool.when(release("w0"))
    assert is_refused(pool.decision(reserve("a")))
    pool.when(release("w1"))
    assert isinstance(pool.decision(reserve("b")), Queued)
    pool.when(plan_changed(LIMIT, waiting=2))
    assert isinstance(pool.decision(reserve("c")), Queued)
    assert is_refused(pool.decision(reserve("d")))


def test_what_is_lost_waits_however_much_waits_already() -> None:
    pool = a_full_pool()
    pool.when(node_removed("n"))
    assert pool.waiting() == ids("full", "w0", "w1")
    assert is_refused(pool.decision(reserve("more")))
    assert placed(pool.when(node("m", 10))) == ids("full", "w0", "w1")


def test_what_others_would_have_to_drain_for_has_to_wait() -> None:
    pool = Pool(node("n", 1), tenant(waiting=0), tenant(OTHER_TEAM))
    pool.when(reserve("cheap", priority=1, preemptible=True), OTHER_TEAM)
    assert is_refused(pool.decision(reserve("dear", priority=900)))
    assert pool.snapshot.claims == {}


def a_pool_with_a_promise(waiting: int = 1) -> Pool:
    """8 GPUs; 5 are in use for 100 more seconds, 3 are idle and kept for a request for all of them."""
    pool = Pool(node("n", 8), tenant(waiting=waiting), tenant(OTHER_TEAM))
    pool.when(reserve("runs", gpus(5), expected_seconds=100), OTHER_TEAM)
    pool.when(reserve("large", gpus(8), expected_seconds=50))
    return pool


def test_what_starts_because_a_promise_gives_way_need_not_wait() -> None:
    pool = a_pool_with_a_promise()
    told = answer(pool, resources=gpus(3), priority=900)
    outcomes = pool.when(reserve("urgent", gpus(3), priority=900))
    assert placed(outcomes) == ids("urgent")
    assert (told.outcome, told.allocations) == (WouldBe.PLACED, pool.held("urgent"))


@pytest.mark.parametrize(("number", "priority"), [(4, 900), (3, 1)])
def test_a_promise_stands_when_the_one_that_is_refused_would_have_taken_it(number: int, priority: int) -> None:
    pool = a_pool_with_a_promise()
    before = content(pool.snapshot) | {"reached": ()}
    assert is_refused(pool.decision(reserve("urgent", gpus(number), priority=priority)))
    assert content(pool.snapshot) | {"reached": ()} == before


def test_a_question_is_answered_as_the_request_would_be() -> None:
    pool = a_full_pool()
    told = answer(pool)
    assert (told.outcome, told.reason, told.detail) == (WouldBe.REJECTED, QueueReason.QUOTA_EXCEEDED, DETAIL)
    assert answer(pool, OTHER_TEAM).outcome is WouldBe.QUEUED
    assert answer(pool, PLATFORM_TENANT).outcome is WouldBe.QUEUED, "the platform's questions have no limits"
    pool.when(plan_changed(LIMIT, waiting=3))
    assert answer(pool).outcome is WouldBe.QUEUED


def test_the_limit_and_the_count_are_the_same_after_a_reload() -> None:
    pool = a_full_pool()
    pool.restart()
    assert is_refused(pool.decision(reserve("more")))
    pool.when(release("w1"))
    pool.restart()
    assert isinstance(pool.decision(reserve("one")), Queued)
    assert is_refused(pool.decision(reserve("two")))


def test_while_the_plan_is_not_known_the_default_of_all_plans_holds() -> None:
    pool = Pool(node("n"))
    for number in range(DEFAULT_MAX_WAITING_REQUESTS):
        pool.when(reserve(f"r{number}"))
    assert len(pool.snapshot.queue) == DEFAULT_MAX_WAITING_REQUESTS
    assert is_refused(pool.decision(reserve("more")))
    pool.when(tenant(limit=0, waiting=DEFAULT_MAX_WAITING_REQUESTS + 1))
    assert answer(pool).detail.startswith("limit: 0 milli-GPU"), "what the plan forbids is told first"
