"""Each policy on tables of cases: which node, which devices, which score, by the published formulas."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.resources import Allocation, Resources
from services.scheduler.domain.errors import UnknownPolicyError
from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies import POLICIES, policy_named
from tests.unit.scheduler.policies.world import chosen, cluster, cpu_only, gpu, take


def scores(policy: str, given: Cluster, shape: Shape) -> dict[str, int]:
    ranking = policy_named(policy).chooser(given).ranking(shape, len(given))
    return {given.nodes[row].name: int(score) for row, score in zip(ranking.rows, ranking.scores, strict=True)}


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        (gpu(1, 300), ("a1", (1,))),  # the node with the least GPU free, and there the tightest device
        (gpu(1, 500), ("a1", (0,))),
        (gpu(1, 900), ("b1", (0,))),  # too large for what is left on a1
        (gpu(2), ("b1", (0, 1))),  # whole GPUs: the lowest free indexes
        (gpu(4), ("c1", (0, 1, 2, 3))),
        (gpu(1, 300, "c"), ("c1", (0,))),  # only nodes of the model
        (gpu(1, 300, "b", "x"), ("b1", (0,))),
        (cpu_only(), ("a1", ())),
    ],
)
def test_best_fit_leaves_the_least(demand: Shape, expected: tuple[str, tuple[int, ...]]) -> None:
    given = cluster(a1=[600, 400], b1=[1000, 1000], c1=[1000] * 4)
    assert chosen(given, policy_named("best_fit").chooser(given), demand) == expected


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "demand",
    [
        gpu(8),
        gpu(1, 300, "x"),
        gpu(1, 300, cpu=64_001),
        gpu(1, 300, memory=262_145),
        gpu(3, 1000, "b"),
        cpu_only(64_001),
    ],
)
def test_nothing_is_chosen_where_nothing_fits(policy: str, demand: Shape) -> None:
    given = cluster(a1=[600, 400], b1=[1000, 1000], c1=[1000] * 4)
    chooser = policy_named(policy).chooser(given)
    assert chooser.best(demand) is None
    assert chooser.ranking(demand, 3).rows.size == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_an_empty_pool_and_a_removed_node_take_nothing(policy: str) -> None:
    assert policy_named(policy).chooser(Cluster()).best(gpu()) is None
    removed = Cluster([Node("a", 64_000, 262_144, 8, "T4", is_present=False)])
    assert policy_named(policy).chooser(removed).best(gpu()) is None


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "random"])
def test_a_tie_goes_to_the_node_that_was_observed_first(policy: str) -> None:
    given = cluster(b1=[1000], a1=[1000])
    assert chosen(given, policy_named(policy).chooser(given), gpu()) == ("b1", (0,))


@pytest.mark.parametrize("policy", POLICIES)
def test_only_allowed_rows_are_chosen_and_ranked(policy: str) -> None:
    given = cluster(a1=[1000], a2=[1000], a3=[1000])
    chooser = policy_named(policy).chooser(given)
    allowed = np.array([False, True, False])
    best, ranking = chooser.best(gpu(), allowed), chooser.ranking(gpu(), 3, allowed)
    assert best is not None
    assert (best.row, ranking.rows.tolist(), ranking.feasible) == (1, [1], 1)
    assert chooser.best(gpu(), np.zeros(3, np.bool_)) is None


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        (gpu(1, 300), ("b1", (0,))),
        (gpu(1, 300, "a"), ("a1", (0,))),  # the emptiest device of the node
        (gpu(2), ("b1", (0, 1))),
        (cpu_only(), ("b1", ())),
    ],
)
def test_least_loaded_spreads(demand: Shape, expected: tuple[str, tuple[int, ...]]) -> None:
    given = cluster(a1=[600, 400], b1=[1000, 1000], c1=[1000, 1000, 1000, 0])
    assert chosen(given, policy_named("least_loaded").chooser(given), demand) == expected


def test_best_fit_scores_in_whole_percent_of_the_range() -> None:
    given = cluster(a=[1000] * 8, b=[1000] * 4, c=[1000])
    assert scores("best_fit", given, gpu()) == {"c": 100, "b": 57, "a": 0}


def test_best_fit_weighs_cpu_and_gpu_as_published() -> None:
    """8 cores left over weigh as much as half a GPU: 8000/128000 = 500/8000."""
    given = cluster(a=[1000], b=[500])
    given.take(Resources(gpu_count=0, gpu_milli=0, cpu_milli=8000, memory_mib=0), Allocation(replica=0, node="a"))
    assert scores("best_fit", given, gpu(1, 100)) == {"a": 0, "b": 0}


def test_dot_product_multiplies_what_is_free_and_what_is_asked() -> None:
    """cpu 64000·16000/128000² = 1/16; gpu 8000·1000/8000² = 1/8 and 1000·1000/8000² = 1/64."""
    given = cluster(a=[1000] * 8, b=[1000])
    assert scores("dot_product", given, gpu(cpu=16_000)) == {"b": 96, "a": 90}


def test_packing_prefers_gpus_in_use_then_nodes_in_use_then_idle_nodes() -> None:
    given = cluster(a=[400, 1000], b=[0, 1000], c=[1000] * 8, d=[1000] * 2)
    assert scores("packing", given, gpu(1, 300)) == {"a": 96, "b": 49, "d": 31, "c": 25}
    assert scores("packing", given, gpu()) == {"a": 49, "b": 49, "d": 31, "c": 25}
    assert scores("packing", given, gpu(2)) == {"d": 31, "c": 25}
    assert set(scores("packing", given, cpu_only()).values()) == {0}


def test_clustering_prefers_company_of_the_same_size() -> None:
    given = Cluster(Node(name, 64_000, 262_144, 8, "T4") for name in "abcd")
    chooser = policy_named("clustering").chooser(given)
    for name, shapes in {"a": [gpu()], "b": [gpu(), gpu(2)], "c": [gpu(2)]}.items():
        only = np.array([node.name == name for node in given.nodes])
        for shape in shapes:
            choice = chooser.best(shape, only)
            assert choice is not None
            take(given, shape, choice)
    assert scores("clustering", given, gpu()) == {"a": 78, "b": 59, "d": 25, "c": 6}
    assert scores("clustering", given, gpu(1, 300)) == {"d": 25, "b": 9, "c": 6, "a": 3}
    assert set(scores("clustering", given, cpu_only()).values()) == {0}


def test_random_draws_anew_for_every_pod_and_the_same_for_the_same_past() -> None:
    given = cluster(**{f"a{number}": [1000, 1000] for number in range(40)})
    first, second = policy_named("random").chooser(given), policy_named("random").chooser(given)
    rows = []
    for _ in range(200):
        one, other = first.best(gpu(1, 500)), second.best(gpu(1, 500))
        assert one == other
        assert one is not None
        rows.append(one.row)
        first.saw(gpu())
        second.saw(gpu())
    assert len(set(rows)) > 35


def test_default_is_a_policy_and_others_are_refused_by_name() -> None:
    assert policy_named("default").name == "residual_value"
    with pytest.raises(UnknownPolicyError, match="'nope' is not known; known: default, best_fit, clustering"):
        policy_named("nope")
