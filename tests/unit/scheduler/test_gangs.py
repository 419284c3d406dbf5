"""Gangs: all pods of a request or none, and where they lie to each other."""

from __future__ import annotations

import pytest

from schemas.placement import QueueReason
from schemas.resources import Resources, Topology
from services.scheduler.domain.decision import Placed, Queued, Rejected
from tests.fakes.scheduler.builders import gpus, identity, node, release, reserve, tenant
from tests.fakes.scheduler.pool import Pool, placed


def gang(workers: int, count: int = 1, topology: Topology = Topology.ANY) -> Resources:
    return gpus(count).model_copy(update={"workers": workers, "topology": topology})


def zones(pool: Pool, name: str) -> set[str]:
    of_node = {each.name: each.zone for each in pool.snapshot.cluster.nodes}
    return {of_node[each.node] for each in pool.held(name)}


def test_a_gang_lies_over_nodes_and_its_pods_are_numbered() -> None:
    pool = Pool(node("n1", 2), node("n2", 2), tenant(), reserve("g", gang(2, 1), replicas=2))
    assert [(each.replica, each.worker) for each in pool.held("g")] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {each.node for each in pool.held("g")} == {"n1", "n2"}
    assert pool.snapshot.cluster.gpu_free.tolist() == [0, 0]


@pytest.mark.parametrize(("workers", "replicas"), [(3, 1), (1, 3)])
def test_all_or_nothing(workers: int, replicas: int) -> None:
    pool = Pool(node("n1", 2), node("n2", 2), tenant(), reserve("held", gpus(2)))
    decision = pool.decision(reserve("g", gang(workers), replicas=replicas))
    assert isinstance(decision, Queued)
    assert pool.snapshot.cluster.gpu_free.sum() == 2000
    assert placed(pool.when(release("held"))) == [identity("g")]


def test_a_gang_that_no_empty_pool_could_hold_is_refused() -> None:
    decision = Pool(node("n1", 3), node("n2", 3), tenant()).decision(reserve("g", gang(3, 2)))
    assert isinstance(decision, Rejected)
    assert decision.reason is QueueReason.TOO_LARGE_FOR_POOL
    assert "with 3 workers" in decision.detail


def test_why_a_gang_waits_tells_how_many_pods_would_fit() -> None:
    pool = Pool(node("n1", 3), node("n2", 3), tenant(), reserve("a"), reserve("b", gpus(2)))
    pool.when(release("a"))
    pool.when(reserve("c", gpus(1, 500)))
    decision = pool.decision(reserve("g", gang(2, 2)))
    assert isinstance(decision, Queued)
    assert "1 of 2 pods would fit" in decision.detail or decision.reason is QueueReason.NO_FREE_CAPACITY


def test_the_same_zone_or_not_at_all() -> None:
    pool = Pool(node("e1", 1, zone="east"), node("w1", 1, zone="west"), node("w2", 2, zone="west"), tenant())
    pool.when(reserve("held", gpus(2)))
    assert isinstance(pool.decision(reserve("g", gang(2, topology=Topology.SAME_ZONE))), Queued)
    assert placed(pool.when(node("e2", 1, zone="east"))) == [identity("g")]
    assert zones(pool, "g") == {"east"}


def test_the_tightest_zone_that_will_do() -> None:
    pool = Pool(node("e1", 8, zone="east"), node("w1", 2, zone="west"), node("w2", 1, zone="west"), tenant())
    pool.when(reserve("g", gang(3, topology=Topology.SAME_ZONE)))
    assert zones(pool, "g") == {"west"}


def test_the_same_zone_if_possible() -> None:
    prefer = gang(2, topology=Topology.PREFER_SAME_ZONE)
    pool = Pool(node("e1", 1, zone="east"), node("w1", 2, zone="west"), node("s1", 1, zone="south"), tenant())
    pool.when(reserve("together", prefer))
    pool.when(reserve("apart", prefer))
    assert (zones(pool, "together"), zones(pool, "apart")) == ({"west"}, {"east", "south"})


def test_replicas_of_one_worker_are_kept_together_too() -> None:
    pool = Pool(node("e1", 2, zone="east"), node("w1", 1, zone="west"), tenant())
    pool.when(reserve("r", gang(1, topology=Topology.SAME_ZONE), replicas=2))
    assert zones(pool, "r") == {"east"}
    assert isinstance(pool.decision(reserve("s", gang(1, topology=Topology.SAME_ZONE))), Placed)
