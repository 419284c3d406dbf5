"""Fragmentation Gradient Descent against its formulas, on the published cluster and by hand."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from bench.placement.trace import read_nodes, read_pods
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.fgd import Fgd, Typical, fragmentation, typical_classes, typical_on
from services.scheduler.domain.policies.past import fixed_memory
from tests.unit.bench.placement.lists import DEFAULT, NODES
from tests.unit.scheduler.policies.world import chosen, cluster, cpu_only, gpu


def test_the_published_cluster_when_empty() -> None:
    """13.94 % of all GPUs, with 35 typical classes."""
    nodes = Cluster(read_nodes(NODES))
    typical = typical_on(nodes, typical_classes(Counter(pod.shape for pod in read_pods(DEFAULT))))
    lost = [
        fragmentation(int(nodes.cpu_free[row]), int(nodes.model[row]), nodes.device_free[row], typical)
        for row in range(len(nodes))
    ]
    assert len(typical.shares) == 35
    assert sum(lost) / 6_212_000 == pytest.approx(0.1394, abs=5e-5)


def classes(*shapes: Shape) -> Typical:
    return typical_on(cluster(a=[1000]), typical_classes(dict.fromkeys(shapes, 1)))


@pytest.mark.parametrize(
    ("shape", "free", "expected"),
    [
        (cpu_only(), [1000, 300], 1300),  # without GPU: all of the idle
        (gpu(1, 500), [1000, 300], 300),  # fits: what lies on devices too full for it
        (gpu(1, 200), [1000, 300], 0),
        (gpu(2), [1000, 300], 1300),  # does not fit: all of the idle
        (gpu(1, 200, cpu=9000), [1000, 300], 1300),  # no CPU
        (gpu(1, 200, "b"), [1000, 300], 1300),  # another model
        (gpu(1, 200, memory=10**9), [1000, 300], 0),  # memory plays no part
        (gpu(1, 200), [1000, -1], 0),  # a broken device has nothing idle
    ],
)
def test_fragmentation_of_one_class(shape: Shape, free: list[int], expected: float) -> None:
    assert fragmentation(8000, 0, np.array(free), classes(shape)) == expected


def test_typical_classes_cover_95_percent_and_forget_memory() -> None:
    workload = {gpu(memory=1): 40, gpu(memory=2): 40, gpu(2): 16, gpu(4): 4}
    found = typical_classes(workload)
    assert found.demand[:, 2].tolist() == [1, 2]
    assert found.counts.tolist() == [80, 16]


def test_the_score_is_a_sigmoid_of_the_growth() -> None:
    """Only halves are expected: 400 from a whole device leave 600, of 500 in use; from [500] 100 are left over."""
    given = cluster(a=[1000], b=[500])
    chooser = Fgd().chooser(given, fixed_memory({gpu(1, 500): 1}))
    ranking = chooser.ranking(gpu(1, 400), 2)
    assert ranking.rows.tolist() == [0, 1]
    assert ranking.scores.tolist() == [50, int(100 / (1 + math.exp(0.1)))]
    assert chosen(given, chooser, gpu(1, 400)) == ("a", (0,))


def test_a_share_takes_the_device_that_grows_least() -> None:
    given = cluster(a=[700, 1000, 500])
    chooser = Fgd().chooser(given, fixed_memory({gpu(1, 500): 1}))
    assert chosen(given, chooser, gpu(1, 300)) == ("a", (1,))  # 1000 → 700 loses nothing
    assert chosen(given, chooser, gpu(1, 200)) == ("a", (0,))  # nor do 700 → 500 and 1000 → 800: the lower index
    assert chosen(given, chooser, gpu(2, 1000)) is None
