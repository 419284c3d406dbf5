"""Who would have to drain, against all that could: on random small clusters."""

from __future__ import annotations

from itertools import combinations
from time import perf_counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.resources import Resources, Topology
from services.scheduler.domain.asking import request_of
from services.scheduler.domain.deciding.decide import try_to_place
from services.scheduler.domain.decision import Drain
from services.scheduler.domain.draining.candidates import Candidate, candidates_for
from services.scheduler.domain.draining.preemption import drainage_for
from services.scheduler.domain.model import Waiting
from services.scheduler.domain.placing.feasibility import pods_by_node
from services.scheduler.domain.placing.place import place
from services.scheduler.domain.placing.room import Room
from services.scheduler.domain.pool.snapshot import Snapshot
from tests.fakes.scheduler.builders import entry, gpus, mig, node, reserve, tenant
from tests.fakes.scheduler.pool import Pool
from tests.fakes.scheduler.truths import content


def gang(workers: int, count: int = 1, topology: Topology = Topology.ANY) -> Resources:
    return gpus(count).model_copy(update={"workers": workers, "topology": topology})


DEMANDS = st.sampled_from(
    [
        *(gpus(count) for count in (1, 2, 3)),
        *(gpus(1, milli) for milli in (300, 500, 800)),
        *(mig(profile) for profile in ("1g.10gb", "2g.20gb", "3g.40gb")),
        *(gang(2, 1, topology) for topology in Topology),
        gang(3),
        gpus(1, cpu=40_000),
    ]
)
HELD = st.tuples(DEMANDS, st.integers(1, 3), st.integers(0, 4), st.sampled_from(["preemptible", "is_elastic", "stays"]))
NODES = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["A100-80", "T4"])), min_size=1, max_size=3)


def pool_of(nodes: list[tuple[int, str]], held: list[tuple[Resources, int, int, str]]) -> Pool:
    """Zones alternate."""
    pool = Pool(tenant())
    for number, (count, model) in enumerate(nodes):
        pool.when(node(f"n{number}", count, model, zone="ew"[number % 2]))
    for number, (demand, replicas, priority, kind) in enumerate(held):
        more: dict[str, Any] = {} if kind == "stays" else {kind: True}
        pool.when(reserve(f"h{number}", demand, replicas=replicas, priority=priority, **more))
    return pool


def waiting_for(snapshot: Snapshot, demand: Resources, replicas: int, priority: int) -> Waiting:
    request = request_of(snapshot, entry(reserve("new", demand, replicas=replicas, priority=priority)))
    return Waiting(request, tuple(range(replicas)))


def fits_without(snapshot: Snapshot, waiting: Waiting, gone: tuple[Candidate, ...]) -> bool:
    cluster, resources = snapshot.cluster.copy(), waiting.request.resources
    for each in gone:
        for allocation in each.allocations:
            cluster.give(each.resources, allocation)
    return place(cluster, snapshot.policy.chooser(cluster), resources, waiting.replicas) is not None


@settings(max_examples=250, deadline=None)
@given(nodes=NODES, held=st.lists(HELD, min_size=1, max_size=9), demand=DEMANDS, replicas=st.integers(1, 3))
def test_it_fits_then_and_would_not_without_any_of_them(
    nodes: list[tuple[int, str]], held: list[tuple[Resources, int, int, str]], demand: Resources, replicas: int
) -> None:
    snapshot = pool_of(nodes, held).snapshot
    waiting = waiting_for(snapshot, demand, replicas, 3)
    if try_to_place(snapshot, waiting) is not None:
        return
    before = content(snapshot)
    drainage = drainage_for(snapshot, waiting)
    assert content(snapshot) == before
    if drainage is None:
        assert not fits_without(snapshot, waiting, tuple(candidates_for(snapshot, waiting)))
        return
    assert fits_without(snapshot, waiting, drainage.victims)
    for fewer in combinations(drainage.victims, len(drainage.victims) - 1):
        assert not fits_without(snapshot, waiting, fewer)
    for each in drainage.victims:
        for allocation in each.allocations:
            snapshot.cluster.give(each.resources, allocation)
    for allocation in drainage.allocations:
        assert snapshot.cluster.can_take(demand, allocation)
        snapshot.cluster.take(demand, allocation)


@settings(max_examples=150, deadline=None)
@given(nodes=NODES, held=st.lists(HELD, max_size=7), demand=DEMANDS)
def test_on_one_node_the_fewest_of_the_first_tier_go(
    nodes: list[tuple[int, str]], held: list[tuple[Resources, int, int, str]], demand: Resources
) -> None:
    """Against all subsets. Only pods on one node, so that there is nothing to be combined."""
    single = demand.model_copy(update={"workers": 1})
    kinds = [(each.model_copy(update={"workers": 1}), replicas, 0, "preemptible") for each, replicas, _, _ in held]
    snapshot = pool_of(nodes, kinds).snapshot
    waiting = waiting_for(snapshot, single, 1, 3)
    if try_to_place(snapshot, waiting) is not None:  # nobody asks who would have to go for it then
        return
    drainage = drainage_for(snapshot, waiting)
    if drainage is None:
        return
    candidates = candidates_for(snapshot, waiting)
    for number in range(1, len(drainage.victims)):
        for fewer in combinations(candidates, number):
            assert not fits_without(snapshot, waiting, fewer), f"{number} would do instead of {len(drainage.victims)}"


@settings(max_examples=150, deadline=None)
@given(nodes=NODES, held=st.lists(HELD, max_size=9), demand=DEMANDS)
def test_a_room_counts_as_the_arrays_do(
    nodes: list[tuple[int, str]], held: list[tuple[Resources, int, int, str]], demand: Resources
) -> None:
    """And as many pods can be placed as are counted."""
    cluster = pool_of(nodes, held).snapshot.cluster
    pods = pods_by_node(cluster, demand)
    wrong_model = demand.mig_profile and any(model == "T4" for _, model in nodes)
    assert wrong_model or [Room(cluster, row).pods(demand) for row in range(len(cluster))] == pods.tolist()
    anywhere = demand.model_copy(update={"topology": Topology.ANY, "workers": 1})
    snapshot = Snapshot("default", Pool().snapshot.policy)
    chooser = snapshot.policy.chooser(cluster)
    total = int(pods.sum())
    assert place(cluster, chooser, anywhere, range(total + 1)) is None
    assert total == 0 or place(cluster, chooser, anywhere, range(total)) is not None


def test_a_large_gang_on_a_full_cluster_is_told_at_once() -> None:
    """64 GPUs on 1,213 nodes: who has to drain for it, or that it cannot be placed, because."""
    pool = Pool(tenant(limit=10**9))
    for number in range(1213):
        pool.when(node(f"n{number}", 8, cpu=10**6, memory=10**7))
        pool.when(reserve(f"h{number}", replicas=8, priority=10, preemptible=True))
    seconds, drains = [], []
    for demand in (gang(64), gang(8, 8)):
        for priority in (10, 500):
            start = perf_counter()
            outcomes = pool.when(reserve(f"{priority}, {demand.workers}", demand, priority=priority))
            seconds.append(perf_counter() - start)
            drains.append(sum(len(each.replicas) for each in outcomes if isinstance(each, Drain)))
    assert drains == [0, 64, 0, 64]
    assert min(seconds[::2]) < 0.1, seconds
    assert min(seconds[1::2]) < 1, seconds
