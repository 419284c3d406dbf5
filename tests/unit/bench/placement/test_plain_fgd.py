"""Plain numpy decides as the policy does: otherwise its speed would say nothing."""

from __future__ import annotations

from collections import Counter

from bench.placement.arrivals import run_of
from bench.placement.expectation import memory_of
from bench.placement.plain_fgd import place, plain_fgd_rate
from bench.placement.trace import read_nodes, read_pods
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.policies.fgd import Fgd, typical_classes, typical_on
from tests.unit.bench.placement.lists import DEFAULT, NODES
from tests.unit.scheduler.policies.world import take


def test_it_chooses_what_the_policy_chooses() -> None:
    pods = read_pods(DEFAULT)
    run = run_of(read_nodes(NODES)[:60], pods, 42)
    plain, given = Cluster(run.nodes), Cluster(run.nodes)
    typical = typical_on(plain, typical_classes(Counter(pod.shape for pod in pods)))
    chooser = Fgd().chooser(given, memory_of(pods))
    for shape in run.arrivals[:600]:
        choice = chooser.best(shape)
        assert place(plain, shape, typical) == (choice.row if choice else None)
        if choice:
            take(given, shape, choice)
    assert (plain.device_free == given.device_free).all()


def test_its_rate_is_positive() -> None:
    pods = read_pods(DEFAULT)
    assert plain_fgd_rate(run_of(read_nodes(NODES)[:20], pods, 1), Counter(pod.shape for pod in pods), 20) > 0
