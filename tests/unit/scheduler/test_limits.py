"""The limit of a tenant's plan, and what a rollout may hold beyond it on credit."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.placement import QueueReason, ReserveCapacity
from schemas.tenant import PLATFORM_TENANT
from services.scheduler.domain.decision import Decision, Placed, Queued, Rejected
from services.scheduler.domain.pool.limits import refusal, within_quotas
from services.scheduler.domain.questions.whatif import imagined
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    TEAM,
    ask_what_if,
    gpus,
    identity,
    node,
    node_removed,
    plan_changed,
    quota,
    release,
    reserve,
    resumed,
    suspended,
    tenant,
)
from tests.fakes.scheduler.pool import Pool, placed


def of(deployment: str, revision: int, number: int, **more: Any) -> ReserveCapacity:
    """So many GPUs for a revision of a deployment, named `deployment-revision`; a later revision is a surge."""
    given: dict[str, Any] = {
        "revision": revision,
        "is_surge": revision > 1,
        "deployment_id": identity(deployment),
    } | more
    return reserve(f"{deployment}-{revision}", replicas=number, **given)


def release_of(deployment: str, revision: int) -> Any:
    return release(f"{deployment}-{revision}").model_copy(update={"deployment_id": identity(deployment)})


def credit(decision: Decision) -> int:
    assert isinstance(decision, Placed)
    return decision.credit_milli


@pytest.mark.parametrize(("third", "is_admitted"), [(0, True), (1, False)])
def test_a_tenth_and_two_tenths_are_three_tenths(third: int, is_admitted: bool) -> None:
    """With floats 0.1 + 0.2 is more than 0.3: KAI-Scheduler's issue 2209."""
    pool = Pool(node("n"), tenant(limit=300), reserve("a", gpus(1, 100)))
    decision = pool.decision(reserve("b", gpus(1, 200 + third)))
    assert isinstance(decision, Placed if is_admitted else Rejected)
    if isinstance(decision, Rejected):
        assert decision.reason is QueueReason.QUOTA_EXCEEDED
        assert decision.detail.startswith("limit: 300 milli-GPU, in use: 100, asked: 201;")


def test_what_is_given_back_is_room_under_the_limit() -> None:
    pool = Pool(node("n"), tenant(limit=2000), reserve("a"), reserve("b"), release("a"))
    assert isinstance(pool.decision(reserve("c")), Placed)


def test_a_suspended_tenant_starts_nothing_and_keeps_what_it_has() -> None:
    pool = Pool(node("n", 2), tenant(), reserve("a", gpus(2)), reserve("waits"))
    pool.when(suspended())
    assert len(pool.held("a")) == 1
    decision = pool.decision(reserve("b"))
    assert isinstance(decision, Rejected)
    assert decision.reason is QueueReason.TENANT_SUSPENDED
    assert placed(pool.when(release("a"))) == []
    assert placed(pool.when(resumed())) == [identity("waits")]


def test_an_unknown_plan_is_waited_for() -> None:
    pool = Pool(node("n"))
    decision = pool.decision(reserve("a"))
    assert isinstance(decision, Queued)
    assert decision.reason is QueueReason.QUOTA_EXCEEDED
    assert placed(pool.when(tenant())) == [identity("a")]


def test_questions_of_the_platform_have_no_limits() -> None:
    lender = tenant(OTHER_TEAM, quotas=(quota(8000, lend=0),))
    pool = Pool(node("n", 8), lender)
    request = imagined(pool.snapshot, ask_what_if(gpus(8)), PLATFORM_TENANT).request
    assert refusal(pool.snapshot, request, 8000) is None
    assert within_quotas(pool.snapshot, request, 8000) is None


def test_a_surge_under_a_full_limit_is_credited_with_what_it_replaces() -> None:
    pool = Pool(node("n", 8), tenant(limit=2000), of("d", 1, 2))
    decision = pool.decision(of("d", 2, 2))
    assert credit(decision) == 2000
    pool.when(release_of("d", 1))
    assert pool.snapshot.shares.gpu_milli(TEAM) == 2000
    assert isinstance(pool.decision(reserve("more")), Rejected)


def test_a_surge_of_more_than_it_replaces_is_refused_for_the_rest() -> None:
    pool = Pool(node("n", 8), tenant(limit=2000), of("d", 1, 2))
    decision = pool.decision(of("d", 2, 3))
    assert isinstance(decision, Rejected)
    assert decision.detail.startswith(
        "limit: 2000 milli-GPU, in use: 2000, asked: 3000, of the sum on a rollout's credit: 2000;"
    )


def test_the_credit_is_given_back_when_the_surge_fails() -> None:
    pool = Pool(node("n", 8), tenant(limit=2000), of("d", 1, 2), of("d", 2, 2), release_of("d", 2))
    assert pool.snapshot.shares.gpu_milli(TEAM) == 2000
    assert isinstance(pool.decision(reserve("more")), Rejected)
    assert credit(pool.decision(of("d", 3, 2))) == 2000


def test_a_first_revision_and_a_request_that_is_no_surge_have_no_credit() -> None:
    pool = Pool(node("n", 8), tenant(limit=2000), of("d", 1, 2))
    assert isinstance(pool.decision(of("e", 1, 1, is_surge=True)), Rejected)
    assert isinstance(pool.decision(of("d", 2, 1, is_surge=False)), Rejected)


def test_nothing_is_credited_for_a_newer_revision() -> None:
    """A late surge of a revision that is being replaced itself."""
    pool = Pool(node("n", 8), tenant(limit=2000), of("d", 3, 2))
    assert isinstance(pool.decision(of("d", 2, 3)), Rejected)


def test_rollouts_at_once_are_bounded_each_by_its_own() -> None:
    pool = Pool(node("n", 8), tenant(limit=3000), of("d", 1, 2), of("e", 1, 1))
    assert isinstance(pool.decision(of("e", 2, 2)), Rejected)
    assert credit(pool.decision(of("d", 2, 2))) == 2000
    assert credit(pool.decision(of("e", 3, 1))) == 3000


def test_the_credit_is_never_above_what_is_free() -> None:
    pool = Pool(node("n", 3), tenant(limit=2000), of("d", 1, 2))
    decision = pool.decision(of("d", 2, 2))
    assert isinstance(decision, Queued)
    assert decision.reason is QueueReason.NO_FREE_CAPACITY
    assert placed(pool.when(node("more", 1))) == [identity("d-2")]


def test_a_surge_that_may_not_start_does_not_hold_up_another_ones() -> None:
    """They are alike in all but the deployment, and so in what they are credited."""
    pool = Pool(node("n", 4), tenant(limit=8000), of("d", 1, 2), of("e", 1, 2))
    for surge in (of("without older revision", 2, 2), of("e", 2, 2), plan_changed(4000)):
        pool.when(surge)
    assert placed(pool.when(node("more", 4))) == [identity("e-2")]


def test_what_a_surge_replaces_comes_back_after_a_loss() -> None:
    """The tenant was over its limit on credit; the same sum is no more than that when the loss is made good."""
    pool = Pool(node("n1", 2), tenant(limit=2000), of("d", 1, 2), node("n2", 2), of("d", 2, 2))
    assert {allocation.node for allocation in pool.held("d-1")} == {"n1"}
    pool.when(node_removed("n1"))
    assert placed(pool.when(node("n3", 2))) == [identity("d-1")]


def test_credits_are_the_same_after_a_reload() -> None:
    pool = Pool(node("n", 8), tenant(limit=3000), of("d", 1, 2), of("e", 1, 1), of("d", 2, 2))
    pool.restart()
    assert credit(pool.decision(of("e", 2, 1))) == 3000
    assert isinstance(pool.decision(reserve("more")), Rejected)
