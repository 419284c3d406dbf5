"""What becomes of reservations when nodes go, shrink or break."""

from __future__ import annotations

import pytest

from schemas.base import EventData
from schemas.placement import LossReason
from schemas.resources import Resources, Topology
from services.scheduler.domain.decision import Decided, Lost, Outcome, Placed
from tests.fakes.scheduler.builders import (
    cpu_only,
    gpus,
    identity,
    node,
    node_removed,
    release,
    reserve,
    suspended,
    tenant,
    time_passed,
)
from tests.fakes.scheduler.pool import Pool, placed, summary


def lost(outcomes: list[Outcome]) -> list[Lost]:
    return [each for each in outcomes if isinstance(each, Lost)]


def gang(workers: int, topology: Topology = Topology.ANY) -> Resources:
    return gpus(1).model_copy(update={"workers": workers, "topology": topology})


NEWS: list[tuple[EventData, LossReason, str]] = [
    (node_removed("n1"), LossReason.NODE_REMOVED, "node n1 is gone"),
    (node("n1", 2, pool="other"), LossReason.NODE_REMOVED, "node n1 is gone"),
    (node("n1", 2, failed=(1,)), LossReason.DEVICE_FAILED, "device 1 of node n1 is broken"),
    (node("n1", 1), LossReason.NODE_SHRUNK, "node n1 has 1 x A100 now"),
    (node("n1", 2, "T4"), LossReason.NODE_SHRUNK, "node n1 has 2 x T4 now"),
    (node("n1", 0), LossReason.NODE_SHRUNK, "node n1 has 0 x no GPU now"),
]


@pytest.mark.parametrize(("news", "reason", "detail"), NEWS, ids=[detail for _, _, detail in NEWS])
def test_what_is_lost_says_why_and_is_placed_again_at_once(news: EventData, reason: LossReason, detail: str) -> None:
    pool = Pool(node("n1", 2), tenant(), reserve("a", gpus(2, 1000, "A100")), node("n2", 2))
    outcomes = pool.when(news)
    (loss,) = lost(outcomes)
    assert (loss.reason, loss.detail, loss.replicas, loss.gpu_milli) == (reason, detail, (0,), 2000)
    assert [summary(each) for each in outcomes] == ["NodeChanged", "Lost", "placed"]
    assert pool.held("a")[0].node == "n2"
    assert pool.when(news) == []


@pytest.mark.parametrize(
    "news", [node("n1", 2, cordoned=True), node("n1", 8), node("n1", 3, failed=(2,)), node("n1", 2, cpu=1, memory=1)]
)
def test_what_is_not_touched_stays(news: EventData) -> None:
    """A cordon, more devices, a broken device that nobody has, less CPU than is reserved."""
    pool = Pool(node("n1", 2), tenant(), reserve("a", gpus(2)), node("n2", 2))
    assert [summary(each) for each in pool.when(news)] == ["NodeChanged"]
    assert pool.held("a")[0].node == "n1"


def test_a_cordoned_node_takes_nothing_new_until_it_is_open_again() -> None:
    pool = Pool(node("n1", 2), tenant(), reserve("a"), node("n1", 2, cordoned=True))
    pool.when(reserve("b"))
    assert pool.waiting() == [identity("b")]
    assert placed(pool.when(node("n1", 2))) == [identity("b")]


def test_only_the_replicas_that_were_there_are_lost_and_the_rest_stays() -> None:
    pool = Pool(node("n1", 2), node("n2", 2), tenant(), reserve("a", replicas=4))
    on_n1 = tuple(each.replica for each in pool.held("a") if each.node == "n1")
    (loss,) = lost(pool.when(node_removed("n1")))
    assert (loss.replicas, loss.gpu_milli) == (on_n1, 2000)
    assert {each.node for each in pool.held("a")} == {"n2"}
    assert pool.waiting() == [identity("a")]
    outcomes = pool.when(node("n3", 2))
    decided = next(each for each in outcomes if isinstance(each, Decided))
    assert isinstance(decided.decision, Placed)
    assert {each.replica for each in decided.decision.allocations} == set(on_n1)
    assert [each.replica for each in decided.decision.all_allocations] == [0, 1, 2, 3]


def test_of_a_gang_all_workers_are_lost() -> None:
    pool = Pool(node("n1", 1), node("n2", 1), node("n3", 2), tenant(), reserve("gang", gang(2), replicas=2))
    broken = pool.held("gang")[0].node
    (loss,) = lost(pool.when(node_removed(broken)))
    assert loss.gpu_milli == 2000 * len(loss.replicas)
    kept = pool.snapshot.reservations.get(identity("gang"))
    assert kept is None or not set(kept.replicas) & set(loss.replicas)


def test_a_lost_replica_goes_before_the_tenants_other_requests() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("first"))
    pool.when(reserve("urgent", priority=900))
    pool.when(node_removed("n1"))
    assert pool.waiting() == [identity("first"), identity("urgent")]
    assert placed(pool.when(node("n2", 1))) == [identity("first")]


def test_a_deadline_is_not_for_what_was_placed_once() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("a", start_within_seconds=60))
    pool.when(node_removed("n1"))
    pool.clock.advance(61)
    assert pool.when(time_passed()) == []
    assert placed(pool.when(node("n2", 1))) == [identity("a")]


def test_a_release_while_a_part_is_lost_gives_back_what_is_held() -> None:
    pool = Pool(node("n1", 1), node("n2", 1), tenant(), reserve("a", replicas=2))
    pool.when(node_removed("n1"))
    assert [summary(each) for each in pool.when(release("a"))] == ["released 1000"]
    assert (pool.waiting(), pool.snapshot.reservations) == ([], {})
    assert pool.when(node("n3", 2))[1:] == []


def test_a_part_that_is_lost_can_be_given_up() -> None:
    """And with what is held then, the reservation goes on; with the last it ends."""
    pool = Pool(node("n1", 1), node("n2", 1), tenant(), reserve("a", replicas=2))
    (loss,) = lost(pool.when(node_removed("n1")))
    assert [summary(each) for each in pool.when(release("a", *loss.replicas))] == ["released 0"]
    assert pool.waiting() == []
    assert len(pool.held("a")) == 1
    (rest,) = {0, 1} - set(loss.replicas)
    assert [summary(each) for each in pool.when(release("a", rest))] == ["released 1000"]
    assert identity("a") in pool.snapshot.closed


def test_what_is_lost_twice_waits_once() -> None:
    pool = Pool(node("n1", 1), node("n2", 1), tenant(), reserve("a", replicas=2))
    for name in ("n1", "n2", "n1"):
        pool.when(node_removed(name))
    (waiting,) = pool.snapshot.queue
    assert (waiting.replicas, waiting.is_lost) == ((0, 1), True)
    assert placed(pool.when(node("n3", 2))) == [identity("a")]


def test_a_suspended_tenant_does_not_start_what_it_lost() -> None:
    pool = Pool(node("n1", 1), node("n2", 1), tenant(), reserve("a"), suspended())
    pool.when(node_removed(pool.held("a")[0].node))
    assert pool.waiting() == [identity("a")]


def test_pods_without_gpu_are_lost_with_their_node_only() -> None:
    pool = Pool(node("n1", 1), tenant(), reserve("a", cpu_only()))
    assert lost(pool.when(node("n1", 1, "T4", failed=(0,)))) == []
    assert len(lost(pool.when(node_removed("n1")))) == 1


def test_losses_are_told_in_the_order_in_which_they_were_asked_for() -> None:
    pool = Pool(node("n1", 8), tenant(), *(reserve(name) for name in "dbca"))
    assert [each.request.reservation_id for each in lost(pool.when(node_removed("n1")))] == [
        identity(n) for n in "dbca"
    ]


def test_a_lost_replica_of_one_zone_goes_back_to_the_zone_of_the_rest() -> None:
    pool = Pool(node("e1", 1, zone="east"), node("e2", 1, zone="east"), tenant())
    pool.when(reserve("a", gang(1, Topology.SAME_ZONE), replicas=2))
    pool.when(node("w1", 4, zone="west"))
    pool.when(node_removed("e1"))
    assert pool.waiting() == [identity("a")]
    assert placed(pool.when(node("e3", 1, zone="east"))) == [identity("a")]
    assert {each.node for each in pool.held("a")} == {"e2", "e3"}


def test_when_all_of_one_zone_is_lost_it_may_go_to_another() -> None:
    pool = Pool(node("e1", 2, zone="east"), tenant(), reserve("a", gang(2, Topology.SAME_ZONE)))
    pool.when(node("w1", 4, zone="west"))
    assert placed(pool.when(node_removed("e1"))) == [identity("a")]
    assert {each.node for each in pool.held("a")} == {"w1"}
