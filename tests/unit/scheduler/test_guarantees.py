"""A guarantee is not drained for others, or two tenants would take the same GPUs from each other for ever."""

from __future__ import annotations

from services.scheduler.domain.decision import Drain, Outcome
from tests.fakes.scheduler.builders import OTHER_TEAM, gpus, identity, node, quota, release, reserve, tenant
from tests.fakes.scheduler.pool import Pool


def drained(outcomes: list[Outcome]) -> list[object]:
    return [each.request.reservation_id for each in outcomes if isinstance(each, Drain)]


def a_pool() -> Pool:
    """Two tenants with two GPUs guaranteed each; one has its own in use, at low priority and preemptible."""
    pool = Pool(node("n", 4), tenant(quotas=(quota(2000),)), tenant(OTHER_TEAM, quotas=(quota(2000),)))
    pool.when(reserve("theirs", replicas=2, preemptible=True, priority=0), OTHER_TEAM)
    return pool


def test_a_higher_priority_takes_nothing_that_another_tenant_is_guaranteed() -> None:
    pool = a_pool()
    pool.when(reserve("mine", gpus(2), priority=500))
    assert drained(pool.when(reserve("more", priority=1000))) == []


def test_it_takes_what_another_tenant_borrows_and_what_its_own_has() -> None:
    pool = a_pool()
    pool.when(reserve("borrowed", gpus(2), preemptible=True, priority=1), OTHER_TEAM)
    assert drained(pool.when(reserve("mine", gpus(2), priority=2))) == [identity("borrowed")]
    pool = a_pool()
    pool.when(reserve("mine", gpus(2), preemptible=True, priority=1))
    assert drained(pool.when(reserve("more", gpus(2), priority=2))) == [identity("mine")]


def test_what_is_preempted_does_not_take_its_place_back() -> None:
    """The low one of a tenant within its guarantee may reclaim from a borrower of higher priority, who may not preempt
    it in turn."""
    pool = a_pool()
    pool.when(reserve("borrower", gpus(2), preemptible=True, priority=900), OTHER_TEAM)
    assert drained(pool.when(reserve("low", gpus(2), preemptible=True, priority=0))) == [identity("borrower")]
    pool.when(release("borrower"), OTHER_TEAM)
    assert len(pool.held("low")) == 1
    assert drained(pool.when(reserve("borrower again", gpus(2), priority=900), OTHER_TEAM)) == [identity("theirs")]


def test_without_guarantees_priority_counts_for_all() -> None:
    pool = Pool(node("n", 1), tenant(), tenant(OTHER_TEAM))
    pool.when(reserve("theirs", preemptible=True, priority=0), OTHER_TEAM)
    assert drained(pool.when(reserve("mine", priority=1))) == [identity("theirs")]
