"""The parts of the value of what is left, by hand, and what the policy makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.offers import LENGTH, SEQUENCES, Offers, idle_after, offers_in, offers_of
from services.scheduler.domain.policies.past import fixed_memory
from services.scheduler.domain.policies.residual_value import ResidualValue, ResidualValueChooser
from services.scheduler.domain.policies.scarcity import (
    UNIT,
    limited,
    pods_on,
    room_now,
    room_when_empty,
    wants_of,
    weights_of,
)
from services.scheduler.domain.policies.workload import Workload, classes_of
from tests.unit.scheduler.policies.world import chosen, cluster, cpu_only, gpu, take


def offers(*shapes: Shape) -> Offers:
    """One sequence of these pods, on a cluster with the models a and b."""
    classes = classes_of(dict.fromkeys(shapes, 1))
    ordered = sorted(set(shapes), reverse=True)  # as classes are that come equally often
    number = np.array([[ordered.index(shape) for shape in shapes]])
    return offers_in(number, classes.demand, classes.allowed(cluster(a=[1000], b=[1000])))


@pytest.mark.parametrize(
    ("shapes", "free", "left"),
    [
        ([gpu(1, 600), gpu(1, 500)], [1000], 400),
        ([gpu(1, 500), gpu(1, 600)], [1000], 500),  # first come, first served
        ([gpu(1, 300), gpu(1, 800)], [1000, 300], 200),  # the tightest device
        ([gpu(2), gpu(1, 300)], [1000, 300], 1000),
        ([gpu(2), gpu(1, 300)], [1000, 1000, 500], 200),
        ([gpu(1, 400, cpu=6000), gpu(1, 500, cpu=6000)], [1000], 600),  # no CPU for the second
        ([cpu_only(6000), gpu(1, 400, cpu=6000), gpu(1, 100)], [1000], 900),
        ([gpu(1, 400, memory=600), gpu(1, 500, memory=600)], [1000], 600),
        ([gpu(1, 400, "b"), gpu(1, 500, "a", "b")], [1000], 500),  # the node has the model a
        ([gpu(), gpu(1, 200)], [1000, 200], 0),
    ],
)
def test_what_a_sequence_of_offers_leaves(shapes: list[Shape], free: list[int], left: int) -> None:
    memory = 1000 if any(shape.memory_mib == 600 for shape in shapes) else 10**6
    assert idle_after(10_000, memory, 0, np.array(free), offers(*shapes)) == left


shares_and_more = st.builds(
    Shape,
    st.sampled_from([0, 1000, 2500, 4000]),
    st.sampled_from([0, 500, 900]),
    st.just(1),
    st.sampled_from([10, 130, 500, 1000]),
    st.sampled_from([(), ("a",), ("b",)]),
) | st.sampled_from([gpu(2), gpu(4), cpu_only(3000)])


@given(
    st.lists(shares_and_more, min_size=1, max_size=40),
    st.lists(st.integers(1, 1000) | st.just(1000), min_size=1, max_size=8),
    st.integers(0, 12_000),
    st.integers(0, 4_000),
)
def test_what_is_looked_up_leaves_the_same(shapes: list[Shape], free: list[int], cpu: int, memory: int) -> None:
    """Offering one pod after another, in plain Python."""
    free = sorted(free, reverse=True)
    left, cpu_left, memory_left = list(free), cpu, memory
    for shape in shapes:
        fitting = sorted((milli, device) for device, milli in enumerate(left) if milli >= shape.gpu_milli)
        if shape.cpu_milli > cpu_left or shape.memory_mib > memory_left or len(fitting) < shape.gpu_count:
            continue
        if shape.gpu_count and shape.gpu_models == ("b",):
            continue
        for _, device in fitting[: shape.gpu_count]:
            left[device] -= shape.gpu_milli
        cpu_left -= shape.cpu_milli
        memory_left -= shape.memory_mib
    assert idle_after(cpu, memory, 0, np.array(free), offers(*shapes)) == sum(left)


def test_offers_hold_every_class_by_its_share() -> None:
    classes = classes_of({gpu(): 3, gpu(1, 500): 1})
    found = offers_of(classes, cluster(a=[1000]))
    assert found.number.shape == (SEQUENCES, LENGTH)
    assert np.bincount(found.number.ravel()).tolist() == [1920, 640]
    assert len({tuple(row) for row in found.number.tolist()}) == SEQUENCES


@pytest.mark.parametrize(
    ("free", "count", "milli", "pods", "enough"),
    [
        ([1000, 700, 300], 1, 300, 6, 2000),
        ([1000, 700, 300], 1, 500, 3, 1700),
        ([1000, 1000, 1000, 900], 2, 1000, 1, 3000),
        ([500], 1, 1000, 0, 0),
    ],
)
def test_how_many_pods_devices_take(free: list[int], count: int, milli: int, pods: int, enough: int) -> None:
    assert pods_on(np.array(free), count, milli) == (pods, enough)


def test_cpu_and_memory_limit_how_many() -> None:
    assert limited(9, 10_000, 10_000, 1_000, 1_000) == 9
    assert limited(9, 5_999, 10_000, 1_000, 1_000) == 5
    assert limited(9, 10_000, 2_500, 1_000, 1_000) == 2
    assert limited(9, 0, 0, 0, 0) == 9


def weights(workload: Workload, nodes: Cluster) -> list[float]:
    wants = wants_of(classes_of(workload), nodes)
    return [float(weight) / UNIT for weight in weights_of(wants, room_now(nodes))]


def test_a_class_weighs_its_share_of_the_pods_times_its_scarcity() -> None:
    """Of 2500 idle, single GPUs can use 2000, halves 2500, pairs 0, which counts as half a percent."""
    nodes = cluster(a=[1000, 500], b=[1000])
    assert weights({gpu(): 2, gpu(1, 500): 1, gpu(2): 1}, nodes) == pytest.approx([0, 0.5 * 0.25, 0.25 * 199], abs=1e-4)


def test_cpu_makes_a_class_scarce_and_pods_without_gpu_are_no_class() -> None:
    nodes = cluster(a=[1000, 1000], b=[1000, 1000])
    assert weights({gpu(cpu=40_000): 1, cpu_only(): 9}, nodes) == [1.0]  # one on each node: half of the idle


def test_closed_nodes_have_no_room_and_empty_ones_all_of_theirs() -> None:
    nodes = cluster(a=[1000, 300], b=[1000])
    nodes.observe(Node("b", 64_000, 262_144, 1, "b", is_cordoned=True))
    assert room_now(nodes).free.tolist() == [[1000, 300]]
    assert room_when_empty(nodes).free.tolist() == [[1000, 1000]]


def chooser(nodes: Cluster, workload: Workload) -> ResidualValueChooser:
    made = ResidualValue().chooser(nodes, fixed_memory(workload))
    assert isinstance(made, ResidualValueChooser)
    return made


def test_a_share_goes_where_the_rest_is_of_use() -> None:
    """600 beside 400 fills a device; on a whole one it would leave 400 that only a 400 can use."""
    nodes = cluster(a=[1000], b=[600], c=[700])
    assert chosen(nodes, chooser(nodes, {gpu(1, 600): 1, gpu(1, 400): 1, gpu(): 1}), gpu(1, 600)) == ("b", (0,))


def test_a_share_takes_the_device_where_least_is_lost() -> None:
    nodes = cluster(a=[1000, 900, 600])
    assert chosen(nodes, chooser(nodes, {gpu(1, 600): 1, gpu(1, 300): 1, gpu(): 1}), gpu(1, 300)) == ("a", (1,))


def test_a_pod_without_gpu_goes_where_its_cpu_is_of_no_use() -> None:
    """On b the CPU would be missed by a pod that needs half of the node; c has no GPU left."""
    nodes = cluster(b=[1000, 1000], c=[0, 0])
    assert chosen(nodes, chooser(nodes, {gpu(cpu=32_000): 1}), cpu_only(20_000)) == ("c", ())


def test_single_gpus_do_not_break_the_last_whole_node() -> None:
    nodes = cluster(a=[1000] * 8, b=[1000] * 3, c=[1000] * 3)
    policy = chooser(nodes, {gpu(8): 1, gpu(): 9})
    homes = []
    for _ in range(6):
        choice = policy.best(gpu())
        assert choice is not None
        take(nodes, gpu(), choice)
        homes.append(choice.row)
    assert homes == [1, 1, 1, 2, 2, 2]


def test_a_full_table_of_states_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = cluster(a=[1000, 1000], b=[1000, 600])
    policy = chooser(nodes, {gpu(1, 600): 1, gpu(1, 400): 1})
    before = policy.best(gpu(1, 400))
    policy._states.taken[0] = 10**6
    policy.forget()
    assert policy.best(gpu(1, 400)) == before
    assert policy._states.taken[0] < 20


def test_what_is_expected_can_change_what_is_chosen() -> None:
    """A whole device is worth keeping for whole GPUs; 700 of it for pods of 700, which b cannot take any more."""
    nodes = cluster(a=[1000], b=[900])
    assert chosen(nodes, chooser(nodes, {gpu(): 1}), gpu(1, 300)) == ("b", (0,))
    assert chosen(nodes, chooser(nodes, {gpu(1, 700): 1}), gpu(1, 300)) == ("a", (0,))
