"""Promise and backfill: the head gets a start time, and what comes after it may use only what does not delay it."""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import EventData
from schemas.placement import QueueReason
from services.scheduler.domain.decision import Decided, Outcome, Placed, Queued
from services.scheduler.domain.waiting.promise import promised
from tests.fakes.scheduler.builders import (
    NOW,
    OTHER_TEAM,
    TEAM,
    gpus,
    identity,
    node,
    node_removed,
    quota,
    release,
    reserve,
    suspended,
    tenant,
    time_passed,
)
from tests.fakes.scheduler.pool import Pool, placed, summary


def after(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def at(pool: Pool, seconds: int, data: EventData, tenant_id: UUID = TEAM) -> list[Outcome]:
    """The input comes so many seconds after the beginning."""
    pool.clock.advance((after(seconds) - pool.clock.now()).total_seconds())
    return pool.when(data, tenant_id)


def holder(pool: Pool) -> tuple[UUID, datetime | None] | None:
    claim = promised(pool.snapshot)
    return None if claim is None else (claim.reservation_id, claim.promised_at)


def queued(outcomes: list[Outcome]) -> Queued:
    assert isinstance(outcomes[0], Decided)
    assert isinstance(outcomes[0].decision, Queued)
    return outcomes[0].decision


def a_pool_with_a_promise() -> Pool:
    """8 GPUs; 5 are in use for 100 more seconds, 3 are idle and kept for a request for all of them."""
    pool = Pool(node("n", 8), tenant(), tenant(OTHER_TEAM), reserve("runs", gpus(5), expected_seconds=100))
    pool.when(reserve("large", gpus(8), expected_seconds=50))
    return pool


def test_the_head_is_told_when_it_starts() -> None:
    pool = Pool(node("n", 8), tenant(), reserve("a", gpus(5), expected_seconds=100))
    decision = queued(pool.when(reserve("large", gpus(8))))
    assert decision.estimated_start == after(100)
    assert decision.reason is QueueReason.NO_FREE_CAPACITY
    assert placed(at(pool, 100, release("a"))) == [identity("large")]
    assert holder(pool) is None


def test_what_is_over_before_may_use_what_is_promised() -> None:
    """KAI-Scheduler's issue 1969: without a promise small ones starve the large one for ever."""
    pool = a_pool_with_a_promise()
    long = queued(pool.when(reserve("long", expected_seconds=101)))
    assert long.reason is QueueReason.RESERVED_FOR_OTHER
    assert queued(pool.when(reserve("endless"))).reason is QueueReason.RESERVED_FOR_OTHER
    assert placed(pool.when(reserve("short", expected_seconds=100))) == [identity("short")]
    assert queued(at(pool, 1, reserve("too late", expected_seconds=100))).reason is QueueReason.RESERVED_FOR_OTHER
    assert placed(at(pool, 2, reserve("in time", expected_seconds=98))) == [identity("in time")]
    at(pool, 100, release("short"))
    at(pool, 100, release("in time"))
    assert placed(at(pool, 100, release("runs"))) == [identity("large")]


def test_longer_ones_go_elsewhere() -> None:
    pool = a_pool_with_a_promise()
    outcomes = pool.when(node("other", 2))
    assert placed(outcomes) == []
    assert placed(pool.when(reserve("endless", replicas=2))) == [identity("endless")]
    assert {allocation.node for allocation in pool.held("endless")} == {"other"}
    assert holder(pool) == (identity("large"), after(100))


def test_nothing_is_promised_for_ends_that_nobody_knows_and_nothing_is_kept_idle() -> None:
    pool = Pool(node("n", 8), tenant(), reserve("endless", gpus(5)), reserve("short", gpus(1), expected_seconds=10))
    assert queued(pool.when(reserve("large", gpus(8)))).estimated_start is None
    assert holder(pool) is None
    assert placed(pool.when(reserve("small", gpus(2)))) == [identity("small")]


def test_an_early_end_lets_it_start_early() -> None:
    pool = a_pool_with_a_promise()
    assert placed(at(pool, 7, release("runs"))) == [identity("large")]


def test_a_late_end_is_waited_for_without_hurry() -> None:
    """The promise is made anew ever more rarely, and nobody takes the places meanwhile."""
    pool = a_pool_with_a_promise()
    renewals = []
    for _ in range(6):
        due = pool.snapshot.next_due()
        assert due is not None
        assert due > pool.clock.now()
        assert at(pool, int((due - NOW).total_seconds()), time_passed()) == []
        for name, seconds in (("endless", None), ("short", 5)):
            decision = queued(pool.when(reserve(f"{name} at {due}", expected_seconds=seconds)))
            assert decision.reason is QueueReason.RESERVED_FOR_OTHER
        renewals.append((due - NOW).total_seconds())
    assert renewals == [110, 130, 170, 250, 410, 730]
    assert placed(at(pool, 800, release("runs"))) == [identity("large")]


def test_a_late_end_elsewhere_may_be_the_better_place() -> None:
    pool = Pool(node("n1", 2), node("n2", 2), tenant())
    pool.when(reserve("a", gpus(2), expected_seconds=100))
    pool.when(reserve("b", gpus(2), expected_seconds=115))
    pool.when(reserve("c", gpus(2)))
    assert holder(pool) == (identity("c"), after(100))
    at(pool, 109, time_passed())
    assert holder(pool) == (identity("c"), after(100))
    at(pool, 110, time_passed())
    assert holder(pool) == (identity("c"), after(115))


def test_one_that_goes_before_it_in_its_tenant_takes_its_place() -> None:
    pool = a_pool_with_a_promise()
    assert placed(pool.when(reserve("urgent", gpus(3), priority=900))) == [identity("urgent")]
    assert holder(pool) is None
    pool = a_pool_with_a_promise()
    assert queued(pool.when(reserve("urgent", gpus(4), priority=900))).estimated_start == after(100)
    assert holder(pool) == (identity("urgent"), after(100))


def test_what_an_urgent_one_leaves_of_a_dropped_promise_goes_to_who_comes_next() -> None:
    pool = a_pool_with_a_promise()
    for name in ("first", "second", "third"):
        pool.when(reserve(name))
    outcomes = pool.when(reserve("urgent", gpus(1), priority=900))
    assert [summary(each) for each in outcomes] == ["placed", "placed", "placed"]
    assert placed(outcomes) == [identity(name) for name in ("urgent", "first", "second")]


def test_small_requests_of_another_tenant_do_not_take_it_away() -> None:
    """Their share is smaller each time one of theirs ends; the large one would never start."""
    pool = Pool(node("n", 8), tenant(), tenant(OTHER_TEAM))
    for number in range(8):
        pool.when(reserve(f"s{number}", expected_seconds=100 + number), OTHER_TEAM)
    pool.when(reserve("large", gpus(8)))
    for number in range(8, 30):
        pool.when(reserve(f"s{number}", expected_seconds=100), OTHER_TEAM)
    for number in range(8):
        assert holder(pool) == (identity("large"), after(107))
        outcomes = at(pool, 100 + number, release(f"s{number}"), OTHER_TEAM)
    assert placed(outcomes) == [identity("large")]


def test_another_tenants_guarantee_goes_before_it() -> None:
    pool = a_pool_with_a_promise()
    pool.when(tenant(OTHER_TEAM, limit=8000, quotas=(quota(2000),)))
    pool.snapshot.set_tenant(pool.snapshot.tenants[OTHER_TEAM])
    assert placed(pool.when(reserve("guaranteed", gpus(2)), OTHER_TEAM)) == [identity("guaranteed")]


def test_a_start_that_uses_up_a_guarantee_may_take_the_promise_of_its_tenant_away() -> None:
    """Both wait within their guarantees, the promised one came first; then its tenant gets something else."""
    quotas = (quota(8000),)
    pool = Pool(node("n", 8), node("t", 1, "T4"), tenant(quotas=quotas), tenant(OTHER_TEAM, quotas=quotas))
    third = identity("a third team")
    pool.when(tenant(third, quotas=(quota(5000),)))
    pool.when(reserve("runs", gpus(5, 1000, "A100"), expected_seconds=100), third)
    pool.when(reserve("large", gpus(8, 1000, "A100")))
    pool.when(reserve("theirs", gpus(2, 1000, "A100")), OTHER_TEAM)
    assert holder(pool) == (identity("large"), after(100))
    outcomes = pool.when(reserve("small", gpus(1, 1000, "T4")))
    assert placed(outcomes) == [identity("small"), identity("theirs")]


def test_what_was_kept_goes_to_who_waits_when_its_holder_starts_elsewhere() -> None:
    pool = a_pool_with_a_promise()
    pool.when(reserve("a100", gpus(2, 1000, "A100")), OTHER_TEAM)
    assert placed(pool.when(node("t", 8, "T4"))) == [identity("large"), identity("a100")]


def test_a_guarantee_that_becomes_known_goes_before_it_too() -> None:
    pool = a_pool_with_a_promise()
    newcomer = identity("a tenant whose plan is not known yet")
    pool.when(reserve("guaranteed", gpus(2)), newcomer)
    assert placed(pool.when(tenant(newcomer, quotas=(quota(2000),)))) == [identity("guaranteed")]
    assert holder(pool) is None


def test_it_ends_when_its_holder_is_released_or_may_not_start() -> None:
    for data in (release("large"), suspended()):
        pool = a_pool_with_a_promise()
        pool.when(reserve("theirs"), OTHER_TEAM)
        assert placed(pool.when(data)) == [identity("theirs")]
        assert holder(pool) is None


def test_it_ends_with_its_node() -> None:
    pool = a_pool_with_a_promise()
    pool.when(node_removed("n"))
    assert holder(pool) is None
    pool.when(node("n", 8))
    assert [request.request.reservation_id for request in pool.snapshot.reservations.values()] == [identity("runs")]
    assert holder(pool) == (identity("large"), after(100))


def test_it_survives_a_restart() -> None:
    pool = a_pool_with_a_promise()
    pool.restart()
    assert holder(pool) == (identity("large"), after(100))
    assert pool.snapshot.next_due() == after(110)
    assert queued(pool.when(reserve("endless"))).reason is QueueReason.RESERVED_FOR_OTHER


JOBS = st.lists(
    st.tuples(
        st.integers(0, 40),  # seconds after the one before
        st.integers(1, 8),  # GPUs of a replica
        st.integers(1, 2),  # replicas
        st.integers(1, 120),  # seconds that it takes
        st.sampled_from([TEAM, OTHER_TEAM]),
    ),
    min_size=4,
    max_size=25,
)


class OnTime:
    """Jobs that end when they were expected to, and what was promised to whom first."""

    def __init__(self) -> None:
        self.pool = Pool(node("n1", 8), node("n2", 8), node("n3", 4), tenant(), tenant(OTHER_TEAM))
        self.now = 0
        self.ends: list[tuple[int, str]] = []
        self.first: dict[UUID, datetime] = {}
        self.names: dict[UUID, str] = {}

    def ask(self, name: str, seconds: int, tenant_id: UUID, **more: Any) -> None:
        self.names[identity(name)] = name
        self._tell(reserve(name, expected_seconds=seconds, **more), tenant_id)

    def go_on(self, until: int) -> None:
        """What ends by then is released, at its time, and then time is said to have passed."""
        while self.ends and self.ends[0][0] <= until:
            self.now, name = heapq.heappop(self.ends)
            self._tell(release(name), self.pool.snapshot.reservations[identity(name)].request.tenant_id)
            due = self.pool.snapshot.next_due()
            is_last = not self.ends or self.ends[0][0] > self.now
            if is_last and due is not None and due <= after(self.now):
                self._tell(time_passed(), TEAM)
        self.now = until

    def _tell(self, data: EventData, tenant_id: UUID) -> None:
        for outcome in at(self.pool, self.now, data, tenant_id):
            if isinstance(outcome, Decided) and isinstance(outcome.decision, Placed):
                request = outcome.request
                assert request.expected is not None
                ends = self.now + int(request.expected.total_seconds())
                heapq.heappush(self.ends, (ends, self.names[request.reservation_id]))
                assert self.first.get(request.reservation_id, after(self.now)) >= after(self.now)
        claim = promised(self.pool.snapshot)
        if claim is not None and claim.promised_at is not None:
            self.first.setdefault(claim.reservation_id, claim.promised_at)


@settings(max_examples=150, deadline=None)
@given(jobs=JOBS)
def test_a_promise_is_kept_while_all_others_end_on_time(jobs: list[tuple[int, int, int, int, UUID]]) -> None:
    world = OnTime()
    for number, (pause, gpu, replicas, seconds, tenant_id) in enumerate(jobs):
        world.go_on(world.now + pause)
        world.ask(f"j{number}", seconds, tenant_id, resources=gpus(gpu), replicas=replicas)
    world.go_on(world.now + 120 * len(jobs))
    assert len(world.pool.snapshot.queue) == 0
    assert world.pool.snapshot.reservations == {}
