"""Guarantees by GPU model, what may be borrowed and what is lent."""

from __future__ import annotations

import pytest

from schemas.placement import QueueReason
from schemas.tenant import GpuQuota
from services.scheduler.domain.decision import Decided, Placed, Queued
from tests.fakes.scheduler.builders import OTHER_TEAM, TEAM, gpus, identity, node, quota, release, reserve, tenant
from tests.fakes.scheduler.pool import Pool, placed


def queued(pool: Pool, name: str, *models: str, number: int = 1) -> Queued:
    decision = pool.decision(reserve(name, gpus(1, 1000, *models), replicas=number))
    assert isinstance(decision, Queued)
    return decision


def a_pool(*quotas: GpuQuota, others: tuple[GpuQuota, ...] = ()) -> Pool:
    """Two nodes with 4 GPUs each, of two models; a tenant with these quotas and one with others."""
    return Pool(
        node("a", 4, "A100"), node("h", 4, "H100"), tenant(TEAM, quotas=quotas), tenant(OTHER_TEAM, quotas=others)
    )


def test_a_tenant_may_borrow_up_to_its_limit() -> None:
    pool = a_pool(quota(1000, borrow=2000, model="A100"))
    pool.when(reserve("held", gpus(1, 1000, "A100"), replicas=3))
    decision = queued(pool, "more", "A100")
    assert decision.reason is QueueReason.BORROWING_LIMIT
    assert decision.detail.startswith(
        "A100: guaranteed 1000 milli-GPU and 2000 to borrow, in use: 3000, asked: 1000; release something"
    )
    assert placed(pool.when(release("held", 0))) == [identity("more")]


@pytest.mark.parametrize(("milli", "fits"), [(500, True), (501, False)])
def test_the_borrowing_limit_is_exact(milli: int, fits: bool) -> None:
    pool = a_pool(quota(1000, borrow=500))
    pool.when(reserve("held"))
    outcome = pool.when(reserve("more", gpus(1, milli)))[0]
    assert isinstance(outcome, Decided)
    assert isinstance(outcome.decision, Placed) is fits


def test_what_takes_either_model_goes_where_the_tenant_still_has_a_share() -> None:
    pool = a_pool(quota(1000, borrow=0, model="A100"))
    for name in ("first", "second", "third"):
        pool.when(reserve(name, gpus(1, 1000, "A100", "H100")))
    models = [pool.held(name)[0].node for name in ("first", "second", "third")]
    assert sorted(models) == ["a", "h", "h"]


def test_where_no_model_is_left_the_first_reason_is_told() -> None:
    pool = a_pool(quota(0, borrow=0, model="H100"), others=(quota(4000, lend=0, model="A100"),))
    assert queued(pool, "any").reason is QueueReason.BORROWING_LIMIT
    assert queued(pool, "one", "A100").reason is QueueReason.RESERVED_FOR_OTHER


def test_what_is_not_lent_stays_free_for_its_owner() -> None:
    pool = a_pool(others=(quota(3000, lend=1000, model="A100"),))
    assert isinstance(pool.decision(reserve("a", gpus(1, 1000, "A100"), replicas=2)), Placed)
    decision = queued(pool, "b", "A100")
    assert decision.reason is QueueReason.RESERVED_FOR_OTHER
    assert (
        decision.detail == "A100: 2000 milli-GPU are free, of which 2000 are guaranteed to others who do not lend them"
    )
    assert isinstance(pool.decision(reserve("own", gpus(1, 1000, "A100"), replicas=2), OTHER_TEAM), Placed)


def test_a_guarantee_that_is_used_is_not_withheld_twice() -> None:
    pool = a_pool(others=(quota(2000, lend=0, model="A100"),))
    pool.when(reserve("own", gpus(1, 1000, "A100"), replicas=2), OTHER_TEAM)
    assert isinstance(pool.decision(reserve("a", gpus(1, 1000, "A100"), replicas=2)), Placed)


def test_a_guarantee_is_not_lent_to_somebody_elses_guarantee() -> None:
    pool = a_pool(quota(4000, model="A100"), others=(quota(4000, lend=0, model="A100"),))
    assert isinstance(pool.decision(reserve("a", gpus(1, 1000, "A100"), replicas=4)), Placed)


def test_guarantees_by_model_are_one_for_all_models_too() -> None:
    pool = a_pool(quota(2000, model="A100"), others=(quota(8000, lend=0),))
    assert isinstance(pool.decision(reserve("a", gpus(1, 1000, "A100"), replicas=2)), Placed)
    assert queued(pool, "b", "A100").reason is QueueReason.RESERVED_FOR_OTHER


def test_what_is_in_use_on_a_cordoned_node_is_not_counted_against_the_open_ones() -> None:
    pool = a_pool(others=(quota(1000, lend=0, model="A100"),))
    pool.when(reserve("old", gpus(4, 1000, "A100")), OTHER_TEAM)
    for seen in (node("a", 4, "A100", cordoned=True), node("a2", 4, "A100"), release("old")):
        pool.when(seen, OTHER_TEAM)
    pool.when(node("a", 4, "A100"))
    pool.when(reserve("mine", gpus(3, 1000, "A100")))
    pool.when(node(pool.held("mine")[0].node, 4, "A100", cordoned=True))
    assert isinstance(pool.decision(reserve("more", gpus(3, 1000, "A100"))), Placed)
    assert queued(pool, "last", "A100").reason is QueueReason.RESERVED_FOR_OTHER


def test_a_model_without_quota_is_shared_freely() -> None:
    pool = a_pool(quota(1000, borrow=0, model="A100"))
    assert isinstance(pool.decision(reserve("a", gpus(1, 1000, "H100"), replicas=4)), Placed)


def test_a_request_without_gpu_is_no_matter_of_quotas() -> None:
    pool = a_pool(quota(0, borrow=0))
    assert isinstance(pool.decision(reserve("a", gpus(0, 0))), Placed)
