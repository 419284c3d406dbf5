"""Draining: who is asked, and that nobody is asked in vain."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.base import EventData
from schemas.placement import PreemptionReason, QueueReason, ReserveCapacity
from schemas.resources import Topology
from schemas.tenant import GpuQuota
from services.scheduler.domain.decision import Drain, DrainWithdrawn, Outcome, Placed, Queued
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    cpu_only,
    gpus,
    identity,
    mig,
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


def drains(outcomes: list[Outcome]) -> dict[object, tuple[int, ...]]:
    """Who is asked to drain, and which replicas."""
    return {each.request.reservation_id: each.replicas for each in outcomes if isinstance(each, Drain)}


def withdrawn(outcomes: list[Outcome]) -> dict[object, tuple[int, ...]]:
    """Who may stay after all."""
    return {each.request.reservation_id: each.replicas for each in outcomes if isinstance(each, DrainWithdrawn)}


def named(**replicas: tuple[int, ...]) -> dict[object, tuple[int, ...]]:
    return {identity(name): numbers for name, numbers in replicas.items()}


def low(name: str, count: int = 1, milli: int = 1000, **more: Any) -> ReserveCapacity:
    """A request that may be drained."""
    return reserve(name, gpus(count, milli), **{"priority": 10, "preemptible": True} | more)


def test_the_higher_priority_waits_while_the_lower_drains_and_then_starts() -> None:
    pool = Pool(node("n1", 2), tenant(), low("low", 2))
    outcomes = pool.when(reserve("high", gpus(2), priority=500))
    assert [summary(each) for each in outcomes] == ["queued WaitingForPreemption", "Drain"]
    drain = outcomes[1]
    assert isinstance(drain, Drain)
    assert (drain.claimant, drain.reason, drain.gpu_milli) == (identity("high"), PreemptionReason.PRIORITY, 2000)
    assert drain.detail == "a request of priority 500 needs room for 2000 milli-GPU"
    assert [summary(each) for each in pool.when(release("low"))] == ["released 2000", "placed"]
    assert pool.snapshot.claims == {}
    assert pool.when(release("low"))[1:] == []


def test_what_drains_is_kept_for_the_claimant_alone() -> None:
    pool = Pool(node("n1", 2), tenant(), low("a"), low("b"))
    pool.when(reserve("high", gpus(2), priority=500))
    assert [summary(each) for each in pool.when(release("a"))] == ["released 1000"]
    assert [summary(each) for each in pool.when(reserve("small", priority=900))] == ["queued ReservedForOther"]
    assert [summary(each) for each in pool.when(release("small"))] == ["released 0"]
    assert placed(pool.when(release("b"))) == [identity("high")]


def test_replicas_drain_one_by_one_and_only_as_many_as_are_needed() -> None:
    """A deployment is shrunk, not killed."""
    pool = Pool(node("n1", 4), tenant(), low("low", replicas=4))
    assert drains(pool.when(reserve("high", gpus(2), priority=500))) == named(low=(2, 3))
    assert [summary(each) for each in pool.when(release("low", 3))] == ["released 1000"]
    assert [summary(each) for each in pool.when(release("low", 2))] == ["released 1000", "placed"]
    assert pool.snapshot.reservations[identity("low")].replicas == (0, 1)


def test_two_deployments_shrink_rather_than_one_end() -> None:
    pool = Pool(node("n1", 4), tenant(), low("a", replicas=2), low("b", replicas=2))
    assert drains(pool.when(reserve("high", gpus(2), priority=500))) == named(a=(1,), b=(1,))


def test_an_elastic_deployment_shrinks_before_anything_is_preempted() -> None:
    """Even one of the same priority, and even if preempting would end fewer replicas."""
    pool = Pool(node("n1", 4), tenant(), low("low", 2), reserve("more", gpus(1), replicas=2, is_elastic=True))
    outcomes = pool.when(reserve("same", gpus(2)))
    assert drains(outcomes) == named(more=(0, 1))
    assert [each.reason for each in outcomes if isinstance(each, Drain)] == [PreemptionReason.SHRINK]


def test_who_shrinks_for_nothing_is_spared() -> None:
    """First the elastic one is chosen, but the other brings all that is needed by itself."""
    pool = Pool(node("n1", 1), node("n2", 4), tenant(), reserve("more", is_elastic=True), low("low", 4))
    assert drains(pool.when(reserve("high", replicas=3, priority=500))) == named(low=(0,))


def test_nothing_shrinks_for_a_lower_priority_nor_for_what_is_beyond_a_minimum_itself() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("more", gpus(1), is_elastic=True))
    assert drains(pool.when(reserve("low", priority=99))) == {}
    assert drains(pool.when(reserve("more of another", priority=900, is_elastic=True))) == {}


@pytest.mark.parametrize(
    ("priority", "preemptible"), [(500, True), (501, True), (10, False)], ids=["same", "higher", "not preemptible"]
)
def test_who_may_not_be_drained(priority: int, preemptible: bool) -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("held", priority=priority, preemptible=preemptible))
    assert drains(pool.when(reserve("high", priority=500))) == {}


def test_the_own_deployment_is_never_asked() -> None:
    pool = Pool(node("n1", 1), tenant(), low("old"))
    own = identity("deployment of old")
    assert drains(pool.when(reserve("new", priority=500, deployment_id=own, revision=2, is_surge=True))) == {}


@pytest.mark.parametrize(
    ("victims", "asked", "expected"),
    [
        ({"a": 1, "b": 1, "c": 2}, 2, {"c"}),
        ({"a": 2, "b": 1, "c": 1}, 1, {"c"}),
        ({"a": 3, "b": 1}, 4, {"a", "b"}),
        ({"a": 1, "b": 3}, 3, {"b"}),
    ],
)
def test_the_fewest_and_then_the_smallest_go(victims: dict[str, int], asked: int, expected: set[str]) -> None:
    pool = Pool(node("n1", 4), tenant(), *(low(name, count) for name, count in victims.items()))
    assert set(drains(pool.when(reserve("high", gpus(asked), priority=500)))) == {identity(name) for name in expected}


def test_the_lowest_priority_goes_first_and_of_equals_the_younger() -> None:
    pool = Pool(node("n1", 3), tenant(), low("a", priority=20), low("b", priority=10))
    pool.clock.advance(10)
    pool.when(low("c", priority=10))
    assert drains(pool.when(reserve("high", priority=500))) == named(c=(0,))
    assert drains(pool.when(reserve("higher", priority=500))) == named(b=(0,))
    assert drains(pool.when(reserve("third", priority=500))) == named(a=(0,))
    assert drains(pool.when(reserve("fourth", priority=500))) == {}, "nobody is asked twice"


def test_shares_of_one_device_go_together() -> None:
    pool = Pool(node("n1", 2), tenant(), *(low(name, 1, 300) for name in "abc"), low("d", 1, 900))
    assert drains(pool.when(reserve("high", priority=500))) == named(d=(0,))
    assert set(drains(pool.when(reserve("higher", priority=500)))) == {identity(name) for name in "abc"}


def test_a_gang_drains_whole_and_is_not_asked_when_that_does_not_help() -> None:
    gang = gpus(2).model_copy(update={"workers": 2})
    pool = Pool(node("n1", 2), node("n2", 2), tenant(), reserve("gang", gang, priority=10, preemptible=True))
    assert drains(pool.when(reserve("cpu", cpu_only(200_000), priority=500))) == {}
    outcomes = pool.when(reserve("high", gpus(1), priority=500))
    assert drains(outcomes) == named(gang=(0,))
    assert [each.gpu_milli for each in outcomes if isinstance(each, Drain)] == [4000]


def test_a_gang_drains_others_on_several_nodes_or_nobody() -> None:
    gang = gpus(2).model_copy(update={"workers": 3})
    pool = Pool(*(node(f"n{i}", 2) for i in range(3)), tenant(), low("a", 2), low("b"), reserve("stays", gpus(2)))
    assert drains(pool.when(reserve("three", gang, priority=500))) == {}
    assert drains(pool.when(node("n3", 2))) == named(a=(0,), b=(0,)), "now they are enough"


def test_a_gang_that_must_be_in_one_zone_drains_one_zone() -> None:
    """Not the cheapest replica of all, which is in a zone where the rest cannot be drained."""
    gang = gpus(2).model_copy(update={"workers": 2, "topology": Topology.SAME_ZONE})
    pool = Pool(tenant())
    for name, zone, priority in (("n1", "east", 30), ("n2", "west", 10), ("n3", "east", 30), ("n4", "west", 900)):
        pool.when(node(name, 2, zone=zone))
        pool.when(low(f"on {name}", 2, priority=priority))
    assert drains(pool.when(reserve("gang", gang, priority=500))) == {identity("on n1"): (0,), identity("on n3"): (0,)}


def seven_slices() -> Pool:
    """One device full of `1g` slices, `s6` with the lowest priority; `s0` to `s2` lie at 4 to 6."""
    pool = Pool(node("n1", 1, "A100-80"), tenant())
    for number in range(7):
        pool.when(reserve(f"s{number}", mig("1g.10gb"), priority=20 - number, preemptible=True))
    return pool


def test_a_slice_drains_one_slice() -> None:
    assert drains(seven_slices().when(reserve("high", mig("1g.10gb"), priority=500))) == named(s6=(0,))


def test_a_larger_slice_drains_those_on_the_place_with_the_fewest() -> None:
    """Three `1g` at 4, 5 and 6 go, not four at 0 to 3, whatever their priorities."""
    pool = seven_slices()
    outcomes = pool.when(reserve("high", mig("3g.40gb"), priority=500))
    there = {f"s{number}" for number in range(7) if (pool.held(f"s{number}")[0].mig_start or 0) >= 4}
    assert set(drains(outcomes)) == {identity(name) for name in there}
    for name in sorted(there):
        outcomes = pool.when(release(name))
    assert placed(outcomes) == [identity("high")]
    assert pool.held("high")[0].mig_start == 4


def test_admitted_implies_placeable() -> None:
    """kueue#5243: a request that would not fit afterwards evicts nothing, says why, and blocks nobody."""
    pool = Pool(tenant(limit=10**6))
    for number in range(4):
        pool.when(node(f"n{number}", 8))
        for job in range(6):
            pool.when(reserve(f"high {number} {job}", priority=500))
        for job in range(2):
            pool.when(low(f"low {number} {job}"))
    decision = pool.decision(reserve("eight", gpus(8), priority=500))
    assert isinstance(decision, Queued)
    assert decision.reason is QueueReason.NO_FREE_CAPACITY
    assert decision.detail == "8000 milli-GPU asked, 0 free"
    pool.when(release("low 0 0"))
    assert isinstance(pool.decision(reserve("one")), Placed)
    assert pool.waiting() == [identity("eight")]


def test_a_claimant_that_is_released_lets_the_others_stay() -> None:
    pool = Pool(node("n1", 2), tenant(), low("a"), low("b"))
    pool.when(reserve("high", gpus(2), priority=500))
    pool.when(release("a"))
    outcomes = pool.when(release("high"))
    assert [summary(each) for each in outcomes] == ["released 0", "DrainWithdrawn"]
    assert withdrawn(outcomes) == named(b=(0,))
    assert [summary(each) for each in pool.when(reserve("c"))] == ["placed"]


def test_a_claimant_whose_deadline_passes_lets_the_others_stay() -> None:
    pool = Pool(node("n1", 1), tenant(), low("a"))
    pool.when(reserve("high", priority=500, start_within_seconds=60))
    pool.clock.advance(60)
    outcomes = pool.when(time_passed())
    assert [summary(each) for each in outcomes] == ["DrainWithdrawn", "rejected DeadlinePassed"]
    assert withdrawn(outcomes) == named(a=(0,))


def test_a_claimant_that_is_placed_elsewhere_lets_the_others_stay() -> None:
    pool = Pool(node("n1", 1), tenant(), low("a"))
    pool.when(reserve("high", priority=500))
    outcomes = pool.when(node("n2", 1))
    assert [summary(each) for each in outcomes] == ["NodeChanged", "placed", "DrainWithdrawn"]
    assert withdrawn(outcomes) == named(a=(0,))
    assert pool.held("high")[0].node == "n2"


@pytest.mark.parametrize(
    "news",
    [node_removed("n1"), node("n1", 1, cordoned=True), node("n1", 1, failed=(0,)), node("n1", 1, "T4")],
    ids=["removed", "cordoned", "failed", "another model"],
)
def test_when_the_place_is_gone_another_is_searched(news: EventData) -> None:
    asked = gpus(1, 1000, "A100")
    pool = Pool(node("n1", 1), node("n2", 1), tenant())
    pool.when(reserve("a", asked, priority=10, preemptible=True))
    pool.when(reserve("b", asked, priority=20, preemptible=True))
    assert drains(pool.when(reserve("high", asked, priority=500))) == named(a=(0,))
    outcomes = pool.when(news)
    assert drains(outcomes) == named(b=(0,))
    assert not set(withdrawn(outcomes)) - {identity("a")}
    assert {claim.allocations[0].node for claim in pool.snapshot.claims.values()} == {"n2"}


def test_a_claimant_that_needs_less_asks_anew() -> None:
    pool = Pool(node("n1", 2), tenant(), low("a"), low("b"))
    pool.when(reserve("high", replicas=2, priority=500))
    outcomes = pool.when(release("high", 1))
    assert withdrawn(outcomes) == named(a=(0,), b=(0,))
    assert len(drains(outcomes)) == 1


def test_a_claimant_whose_tenant_is_suspended_keeps_nothing() -> None:
    pool = Pool(node("n1", 1), tenant(), tenant(OTHER_TEAM), low("a"))
    pool.when(reserve("high", priority=500), OTHER_TEAM)
    assert withdrawn(pool.when(suspended(OTHER_TEAM))) == named(a=(0,))


def test_nobody_drains_for_what_the_limit_will_not_allow() -> None:
    """The first one's GPU is on its way, and is all that the tenant may have."""
    pool = Pool(node("n1", 2), tenant(), tenant(OTHER_TEAM, 1000), low("a"), low("b"))
    assert len(drains(pool.when(reserve("high", priority=500), OTHER_TEAM))) == 1
    assert drains(pool.when(reserve("another", priority=500), OTHER_TEAM)) == {}


def test_who_waited_longer_is_not_overtaken_by_draining() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("held"))
    pool.when(reserve("first", priority=500))
    pool.when(reserve("small", gpus(1, 100), priority=0, preemptible=True))
    pool.when(release("held"))
    assert pool.held("first")


def test_nobody_drains_when_a_promise_gives_way() -> None:
    """What is promised to a lower priority of the tenant is enough."""
    pool = Pool(node("n1", 2), tenant(), low("low", replicas=2), node("n2", 3))
    pool.when(reserve("ends", priority=900, expected_seconds=60))
    pool.when(reserve("promised", replicas=3, priority=10))
    assert [claim.reservation_id for claim in pool.snapshot.claims.values()] == [identity("promised")]
    outcomes = pool.when(reserve("high", replicas=2, priority=500))
    assert placed(outcomes) == [identity("high")]
    assert drains(outcomes) == {}


class TestReclaim:
    """A tenant within its guarantee gets it back from those who borrowed it."""

    def pool(self, *, own: int = 2000, others: tuple[GpuQuota, ...] = (), nodes: int = 1) -> Pool:
        team = tenant(quotas=others)
        other = tenant(OTHER_TEAM, quotas=(quota(own),))
        return Pool(*(node(f"n{number}", 4) for number in range(nodes)), team, other)

    def test_what_was_borrowed_is_given_back(self) -> None:
        pool = self.pool()
        pool.when(reserve("borrowed", replicas=4))
        outcomes = pool.when(reserve("own", gpus(2), priority=0), OTHER_TEAM)
        assert drains(outcomes) == named(borrowed=(2, 3))
        assert [each.reason for each in outcomes if isinstance(each, Drain)] == [PreemptionReason.RECLAIM]

    def test_no_more_than_the_guarantee(self) -> None:
        pool = self.pool()
        pool.when(reserve("borrowed", replicas=4))
        assert drains(pool.when(reserve("own", gpus(3)), OTHER_TEAM)) == {}
        assert len(drains(pool.when(reserve("one"), OTHER_TEAM))) == 1
        assert len(drains(pool.when(reserve("two"), OTHER_TEAM))) == 1
        assert drains(pool.when(reserve("three"), OTHER_TEAM)) == {}, "two are on their way"

    def test_nobody_falls_below_a_guarantee(self) -> None:
        pool = self.pool(own=3000, others=(quota(3000),))
        pool.when(reserve("borrowed", replicas=4))
        assert drains(pool.when(reserve("two", gpus(2)), OTHER_TEAM)) == {}
        assert drains(pool.when(reserve("one"), OTHER_TEAM)) == named(borrowed=(3,))

    def test_nobody_falls_below_a_guarantee_by_a_part_of_a_replica(self) -> None:
        pool = self.pool(own=3000, others=(quota(3500),))
        pool.when(reserve("borrowed", replicas=4))
        assert drains(pool.when(reserve("one"), OTHER_TEAM)) == {}

    def test_what_drains_already_counts(self) -> None:
        pool = self.pool(own=2000, others=(quota(3000),))
        pool.when(low("borrowed", replicas=4))
        assert len(drains(pool.when(reserve("high", priority=500)))) == 1
        assert drains(pool.when(reserve("own", priority=0), OTHER_TEAM)) == {}

    def test_guarantees_of_a_model_are_of_that_model(self) -> None:
        pool = Pool(node("n1", 2, "A100"), node("n2", 2, "T4"), tenant(quotas=(quota(2000, model="A100"),)))
        pool.when(tenant(OTHER_TEAM, quotas=(quota(2000),)))
        pool.when(reserve("on a100", gpus(1, 1000, "A100"), replicas=2))
        pool.when(reserve("on t4", gpus(1, 1000, "T4"), replicas=2))
        assert drains(pool.when(reserve("any"), OTHER_TEAM)) == {identity("on t4"): (1,)}
        assert drains(pool.when(reserve("a100", gpus(1, 1000, "A100")), OTHER_TEAM)) == {}

    def test_a_guarantee_of_one_model_reclaims_that_model(self) -> None:
        pool = Pool(node("n1", 1, "A100"), node("n2", 1, "T4"), tenant())
        pool.when(tenant(OTHER_TEAM, quotas=(quota(1000, model="A100"),)))
        pool.when(reserve("on a100", gpus(1, 1000, "A100")))
        pool.when(reserve("on t4", gpus(1, 1000, "T4")))
        assert drains(pool.when(reserve("either", gpus(1, 1000, "A100", "T4")), OTHER_TEAM)) == {
            identity("on a100"): (0,)
        }


def test_a_line_does_not_hold_up_who_has_its_place() -> None:
    """Two alike: the place of the first is gone, that of the second is there, so one of them starts."""
    pool = Pool(node("n1", 1), node("n2", 1), tenant(), low("a"), low("b"))
    pool.when(reserve("first", priority=500))
    pool.when(reserve("second", priority=500))
    node_of = {claimant: claim.allocations[0].node for claimant, claim in pool.snapshot.claims.items()}
    pool.when(node(node_of[identity("first")], 1, cordoned=True))
    victim = next(name for name in "ab" if pool.held(name)[0].node == node_of[identity("second")])
    assert len(placed(pool.when(release(victim)))) == 1
    assert len(pool.waiting()) == 1
