"""The life of a pool: what each input changes, and which waiting requests it lets in."""

from __future__ import annotations

import pytest

from schemas.deployment import DeploymentCancelled
from services.scheduler.domain.asking import request_of
from services.scheduler.domain.decision import NodeChanged, TenantChanged
from services.scheduler.domain.errors import UnexpectedInputError
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    entry,
    gpus,
    identity,
    node,
    node_removed,
    plan_changed,
    release,
    requested,
    reserve,
    resumed,
    suspended,
    tenant,
)
from tests.fakes.scheduler.pool import Pool, placed, summary


def ids(*names: str) -> list[object]:
    return [identity(name) for name in names]


def test_a_release_gives_back_exactly_and_only_once() -> None:
    pool = Pool(node("n1", 2), tenant(), reserve("a", gpus(1, 300), replicas=2))
    assert [summary(each) for each in pool.when(release("a"))] == ["released 600"]
    assert [summary(each) for each in pool.when(release("a"))] == ["released 0"]
    assert pool.snapshot.cluster.gpu_free.tolist() == [2000]
    assert pool.snapshot.shares.gpu_milli(identity("nobody")) == 0


def test_a_release_that_overtakes_its_request_closes_it() -> None:
    """They travel on two topics. GPUs that were reserved after their release would never be given back."""
    pool = Pool(node("n1"), tenant())
    assert [summary(each) for each in pool.when(release("a"))] == ["released 0"]
    assert pool.when(requested("a")) == []
    assert pool.snapshot.reservations == {}


def test_a_release_by_another_tenant_ends_nothing() -> None:
    pool = Pool(node("n1", 1), tenant(), tenant(OTHER_TEAM), reserve("held"), reserve("waits"))
    for name in ("held", "waits"):
        assert [summary(each) for each in pool.when(release(name), OTHER_TEAM)] == ["released 0"]
    assert (list(pool.snapshot.reservations), pool.waiting()) == (ids("held"), ids("waits"))


def test_a_request_that_is_known_is_not_decided_again() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("held"), reserve("waits"), reserve("refused", gpus(8)))
    for name in ("held", "waits", "refused"):
        assert pool.when(reserve(name)) == []
    pool.when(release("held"))
    assert pool.when(reserve("held")) == []


def test_a_waiting_request_can_be_released() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("a"), reserve("b"), reserve("c"))
    assert [summary(each) for each in pool.when(release("b"))] == ["released 0"]
    assert pool.waiting() == ids("c")


def test_a_release_lets_the_waiting_in_by_priority_then_arrival() -> None:
    pool = Pool(node("n1", 2), tenant(), reserve("a", gpus(2)))
    for name, priority in (("first", 100), ("second", 100), ("urgent", 200)):
        pool.when(reserve(name, priority=priority))
    outcomes = pool.when(release("a"))
    assert [summary(each) for each in outcomes] == ["released 2000", "placed", "placed"]
    assert placed(outcomes) == ids("urgent", "first")
    assert pool.waiting() == ids("second")


def test_a_big_one_that_does_not_fit_does_not_hold_up_a_small_one() -> None:
    pool = Pool(node("n1", 4), tenant(), reserve("a", gpus(1)), reserve("b", gpus(3)))
    pool.when(reserve("big", gpus(4), priority=500))
    pool.when(reserve("small", gpus(1)))
    assert placed(pool.when(release("a"))) == ids("small")
    assert pool.waiting() == ids("big")


def test_fewer_replicas_of_the_same_demand_are_still_tried() -> None:
    pool = Pool(node("n1", 4), tenant(), reserve("a", gpus(3)), reserve("b"))
    for name, replicas in (("four", 4), ("five", 5), ("two", 2), ("one", 1)):
        pool.when(reserve(name, replicas=replicas))
    assert placed(pool.when(release("a"))) == ids("two", "one")
    assert pool.waiting() == ids("four")


def test_who_is_over_the_limit_keeps_waiting() -> None:
    pool = Pool(node("n1", 4), tenant(), reserve("a", gpus(4)), reserve("b", gpus(3)), reserve("c", gpus(1)))
    pool.when(plan_changed(2000))
    assert placed(pool.when(release("a"))) == ids("c")
    assert placed(pool.when(plan_changed(4000))) == ids("b")


def test_536_small_ones_drain_in_one_pass() -> None:
    pool = Pool(tenant())
    for number in range(536):
        pool.when(reserve(f"r{number}", gpus(1, 10)))
    assert len(placed(pool.when(node("n1", 8, cpu=10**6, memory=10**6)))) == 536


def test_new_nodes_let_the_waiting_in() -> None:
    pool = Pool(tenant())
    pool.when(reserve("a", gpus(1, 1000, "H100")))
    assert placed(pool.when(node("n1", model="A100"))) == []
    outcomes = pool.when(node("n2", model="H100"))
    assert isinstance(outcomes[0], NodeChanged)
    assert outcomes[0].rank == 1
    assert placed(outcomes) == ids("a")


def test_a_node_seen_again_unchanged_is_no_news() -> None:
    pool = Pool(node("n1"), tenant())
    assert pool.when(node("n1")) == []


def test_what_was_on_a_removed_node_is_lost_and_placed_again() -> None:
    pool = Pool(node("n1", 2), node("n2", 8), tenant(), reserve("a"))
    assert pool.held("a")[0].node == "n1"
    assert [summary(each) for each in pool.when(node_removed("n1"))] == ["NodeChanged", "Lost", "placed"]
    assert pool.when(node_removed("n1")) == []
    assert pool.when(node_removed("never seen")) == []
    pool.when(reserve("b"))
    assert (pool.held("a")[0].node, pool.held("b")[0].node) == ("n2", "n2")
    pool.when(node("n1", 2))
    assert pool.snapshot.cluster.gpu_free.tolist() == [2000, 6000]


def test_a_node_that_moves_to_another_pool_leaves_this_one() -> None:
    pool = Pool(node("n1"), tenant())
    assert pool.when(node("n2", pool="other")) == []
    pool.when(node("n1", pool="other"))
    assert pool.snapshot.cluster.present == 0


def test_a_plan_that_becomes_known_or_larger_lets_the_waiting_in() -> None:
    pool = Pool(node("n1"))
    pool.when(reserve("a", gpus(2)))
    pool.when(reserve("b", gpus(2)))
    outcomes = pool.when(tenant(limit=3000))
    assert isinstance(outcomes[0], TenantChanged)
    assert placed(outcomes) == ids("a")
    assert placed(pool.when(plan_changed(4000))) == ids("b")


def test_a_suspended_tenants_requests_wait_until_it_is_resumed() -> None:
    pool = Pool(node("n1", 1), tenant(), tenant(OTHER_TEAM), reserve("a"))
    pool.when(reserve("mine"))
    pool.when(reserve("theirs"), OTHER_TEAM)
    pool.when(suspended())
    assert placed(pool.when(release("a"))) == ids("theirs")
    pool.when(node("n2", 1))
    assert pool.waiting() == ids("mine")
    assert placed(pool.when(resumed())) == ids("mine")


def test_a_tenant_that_did_not_change_is_no_news() -> None:
    pool = Pool(tenant())
    assert pool.when(tenant()) == []
    assert pool.when(resumed()) == []


def test_a_message_without_a_rule_is_an_error() -> None:
    stray = DeploymentCancelled(deployment_id=identity("d"), reason="no")
    with pytest.raises(UnexpectedInputError, match=r"no rule for taxiway\.deployment\.cancelled\.v1"):
        Pool().when(stray)
    with pytest.raises(UnexpectedInputError):
        request_of(Pool().snapshot, entry(stray))
