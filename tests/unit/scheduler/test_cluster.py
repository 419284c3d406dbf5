"""The arrays of a cluster: what is free follows from what is there and what is taken."""

from __future__ import annotations

import numpy as np

from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.cluster import ABSENT, Cluster
from tests.fakes.scheduler.builders import cpu_only, gpus


def node(name: str, gpu: int = 2, cpu: int = 8000, memory: int = 16_384, model: str = "T4") -> Node:
    return Node(name, cpu, memory, gpu, model)


def on(name: str, *devices: int, milli: int = 1000) -> Allocation:
    return Allocation(replica=0, node=name, devices=devices, gpu_milli=milli if devices else 0)


def free(cluster: Cluster, name: str) -> tuple[int, int, list[int]]:
    row = cluster.row_of[name]
    return int(cluster.cpu_free[row]), int(cluster.memory_free[row]), cluster.device_free[row].tolist()


def test_what_is_taken_is_not_free_and_comes_back_exactly() -> None:
    cluster = Cluster([node("a")])
    demand = gpus(1, 300, cpu=1500, memory=1000)
    cluster.take(demand, on("a", 1, milli=300))
    assert free(cluster, "a") == (6500, 15_384, [1000, 700])
    assert cluster.gpu_free.tolist() == [1700]
    cluster.give(demand, on("a", 1, milli=300))
    assert free(cluster, "a") == (8000, 16_384, [1000, 1000])


def test_a_device_that_a_node_lacks_is_never_free() -> None:
    cluster = Cluster([node("small", 1), node("large", 4), node("none", 0, model="")])
    assert free(cluster, "small")[2] == [1000, ABSENT, ABSENT, ABSENT]
    assert cluster.gpu_free.tolist() == [1000, 4000, 0]


def test_rank_is_the_order_of_the_first_observation() -> None:
    cluster = Cluster([node("b"), node("a")])
    cluster.observe(node("c"))
    cluster.observe(node("b", cpu=1))
    assert [each.name for each in cluster.nodes] == ["b", "a", "c"]
    assert cluster.cpu_free.tolist() == [1, 8000, 8000]


def test_a_node_that_shrinks_keeps_what_is_taken_of_it() -> None:
    cluster = Cluster([node("a", 4)])
    cluster.take(gpus(2), on("a", 2, 3))
    cluster.observe(node("a", 2, cpu=500))
    assert free(cluster, "a") == (-500, 15_360, [1000, 1000, ABSENT, ABSENT])
    cluster.give(gpus(2), on("a", 2, 3))
    cluster.observe(node("a", 4))
    assert free(cluster, "a")[2] == [1000] * 4


def test_reservations_on_devices_that_are_gone_can_be_loaded() -> None:
    cluster = Cluster([node("a", 1)])
    cluster.take(gpus(1), on("a", 5))
    assert free(cluster, "a")[2] == [1000] + [ABSENT] * 5


def test_a_copy_does_not_touch_the_original() -> None:
    cluster = Cluster([node("a"), node("b")])
    before = {name: getattr(cluster, name).copy() for name in vars(cluster) if hasattr(getattr(cluster, name), "copy")}
    working = cluster.copy()
    working.take(gpus(2), on("a", 0, 1))
    working.take(cpu_only(), on("b"))
    for name, value in before.items():
        assert np.array_equal(getattr(cluster, name), value), name
    assert working.gpu_free.tolist() == [0, 2000]


def test_models_are_told_apart_and_unknown_ones_left_out() -> None:
    cluster = Cluster([node("a", model="T4"), node("b", model="A100")])
    assert cluster.model_codes(["A100", "H100"]) == [int(cluster.model[1])]
    assert cluster.model[0] != cluster.model[1]


def test_a_removed_node_is_not_counted() -> None:
    cluster = Cluster([node("a"), Node("gone", 1, 1, 1, "T4", is_present=False)])
    assert (len(cluster), cluster.present) == (2, 1)


def test_a_cpu_demand_takes_no_device() -> None:
    cluster = Cluster([node("a")])
    cluster.take(Resources(gpu_count=0, gpu_milli=0, cpu_milli=8000, memory_mib=0), on("a"))
    assert free(cluster, "a") == (0, 16_384, [1000, 1000])
