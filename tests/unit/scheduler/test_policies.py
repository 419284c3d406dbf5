"""Each policy on tables of cases: which node, which devices, and what decides a tie."""

from __future__ import annotations

import time

import numpy as np
import pytest

from schemas.resources import Allocation, Resources
from services.scheduler.domain.cluster import Cluster
from services.scheduler.domain.errors import UnknownPolicyError
from services.scheduler.domain.feasibility import feasible, replicas_when_empty
from services.scheduler.domain.model import Node
from services.scheduler.domain.place import place, rank
from services.scheduler.domain.policies import POLICIES, policy_named
from tests.fakes.scheduler.builders import cpu_only, gpus


def cluster(**free: list[int]) -> Cluster:
    """Nodes with these free thousandths of each device, 64 cores, 256 GiB; the model is the name's first letter."""
    made = Cluster(Node(name, 64_000, 262_144, len(devices), name[0]) for name, devices in free.items())
    for name, devices in free.items():
        for index, milli in enumerate(devices):
            taken = Allocation(replica=0, node=name, devices=(index,), gpu_milli=1000 - milli)
            made.take(Resources(gpu_count=1, gpu_milli=1, cpu_milli=0, memory_mib=0), taken)
    return made


def chosen(policy: str, given: Cluster, demand: Resources) -> tuple[str, tuple[int, ...]] | None:
    placement = place(given, demand, 1, policy_named(policy))
    return (placement.allocations[0].node, placement.allocations[0].devices) if placement else None


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        (gpus(1, 300), ("a1", (1,))),  # the node with the least GPU free, and there the tightest device
        (gpus(1, 500), ("a1", (0,))),
        (gpus(1, 900), ("b1", (0,))),  # too large for what is left on a1
        (gpus(2), ("b1", (0, 1))),  # whole GPUs: the lowest free indexes
        (gpus(4), ("c1", (0, 1, 2, 3))),
        (gpus(1, 300, "c"), ("c1", (0,))),  # only nodes of the model
        (gpus(1, 300, "x", "b"), ("b1", (0,))),
        (gpus(8), None),
        (gpus(1, 300, "x"), None),
        (gpus(1, 300, cpu=64_001), None),
        (gpus(1, 300, memory=262_145), None),
        (cpu_only(), ("a1", ())),
    ],
)
def test_best_fit_leaves_the_least(demand: Resources, expected: tuple[str, tuple[int, ...]] | None) -> None:
    given = cluster(a1=[600, 400], b1=[1000, 1000], c1=[1000] * 4)
    assert chosen("best_fit", given, demand) == expected


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        (gpus(1, 300), ("b1", (0,))),
        (gpus(1, 300, "a"), ("a1", (0,))),  # the emptiest device of the node
        (gpus(2), ("b1", (0, 1))),
        (cpu_only(), ("b1", ())),
    ],
)
def test_least_loaded_spreads(demand: Resources, expected: tuple[str, tuple[int, ...]]) -> None:
    given = cluster(a1=[600, 400], b1=[1000, 1000], c1=[1000, 1000, 1000, 0])
    assert chosen("least_loaded", given, demand) == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_a_tie_goes_to_the_node_that_was_observed_first(policy: str) -> None:
    assert chosen(policy, cluster(b1=[1000], a1=[1000]), gpus()) == ("b1", (0,))


def test_best_fit_scores_in_whole_percent_of_the_range() -> None:
    given = cluster(a=[1000] * 8, b=[1000] * 4, c=[1000])
    rows = feasible(given, gpus())
    assert policy_named("best_fit").scores(given, rows, gpus()).tolist() == [0, 57, 100]
    assert policy_named("best_fit").scores(given, rows[:1], gpus()).tolist() == [0]


def test_best_fit_weighs_cpu_and_gpu_as_published() -> None:
    """8 cores left over weigh as much as half a GPU: 8000/128000 = 500/8000."""
    given = cluster(a=[1000], b=[500])
    given.take(cpu_only(8000, 0), Allocation(replica=0, node="a"))
    assert policy_named("best_fit").scores(given, np.array([0, 1]), gpus(1, 100)).tolist() == [0, 0]


def test_replicas_take_what_the_earlier_ones_left() -> None:
    placement = place(cluster(a1=[1000, 500], b1=[1000]), gpus(1, 500), 5, policy_named("best_fit"))
    assert placement is not None
    assert [(each.replica, each.node, each.devices) for each in placement.allocations] == [
        (0, "b1", (0,)),
        (1, "b1", (0,)),
        (2, "a1", (1,)),
        (3, "a1", (0,)),
        (4, "a1", (0,)),
    ]


def test_all_replicas_or_none() -> None:
    given = cluster(a1=[1000, 1000])
    assert place(given, gpus(), 3, policy_named("best_fit")) is None
    assert given.gpu_free.tolist() == [2000]


@pytest.mark.parametrize(
    ("demand", "most"),
    [
        (gpus(1, 1000), 7),
        (gpus(2), 3),
        (gpus(8), 0),
        (gpus(1, 400), 14),
        (gpus(1, 1000, "a"), 2),
        (gpus(1, 1, cpu=32_000), 6),
        (gpus(1, 1, memory=262_144), 3),
        (cpu_only(64_000), 3),
        (cpu_only(0, 0), np.iinfo(np.int64).max),
    ],
)
def test_what_the_pool_could_hold_if_it_were_empty(demand: Resources, most: int) -> None:
    assert replicas_when_empty(cluster(a1=[0, 0], b1=[1000], c1=[0, 0, 0, 500]), demand) == most


def test_nothing_fits_a_removed_node() -> None:
    given = Cluster([Node("a", 64_000, 262_144, 8, "T4", is_present=False)])
    assert rank(given, gpus(), policy_named("default")) is None


def test_default_is_a_policy_and_others_are_refused_by_name() -> None:
    assert policy_named("default").name == "best_fit"
    with pytest.raises(UnknownPolicyError, match="'nope' is not known; known: default, best_fit, least_loaded"):
        policy_named("nope")


def test_a_decision_among_1213_nodes_takes_less_than_a_millisecond() -> None:
    nodes = [Node(f"n{i}", 96_000, 393_216, (2, 4, 8)[i % 3], ("P100", "T4", "V100")[i % 3]) for i in range(1213)]
    given, policy = Cluster(nodes), policy_named("best_fit")
    seconds = []
    for _ in range(50):
        started = time.perf_counter()
        place(given, gpus(1, 460, "T4", "V100"), 1, policy)
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[len(seconds) // 2] < 0.001
