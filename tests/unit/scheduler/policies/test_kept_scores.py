"""What a chooser keeps is what it would compute from scratch, whatever happens to the cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.resources import Allocation
from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies import POLICIES, policy_named, scoring
from services.scheduler.domain.policies.fitting import fits
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.scoring import ScoringChooser
from tests.unit.scheduler.policies.world import allocation_of, cluster, cpu_only, gpu, resources_of

SHAPES = [
    gpu(1, 300),
    gpu(1, 470, cpu=12_000),
    gpu(1, 810, "a"),
    gpu(1, 1000, "a", "b", cpu=9_000),
    gpu(2, memory=100_000),
    gpu(4),
    cpu_only(20_000),
]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("place"), st.integers(0, len(SHAPES) - 1)),
        st.tuples(st.just("place"), st.integers(0, len(SHAPES) - 1)),
        st.tuples(st.just("give"), st.integers(0, 99)),
        st.tuples(st.sampled_from(["cordon", "remove", "fail", "grow", "come", "see"]), st.integers(0, 99)),
    ),
    max_size=30,
)


class World:
    """A cluster that changes, and a chooser that lives as long as it."""

    def __init__(self, policy: str) -> None:
        self.cluster = cluster(a1=[1000, 1000], b1=[1000] * 4, a2=[1000, 500], c1=[800])
        self.policy = policy_named(policy)
        self.chooser: Chooser = self.policy.chooser(self.cluster)
        self.taken: list[tuple[Shape, Allocation]] = []
        self.seen: list[Shape] = []

    def do(self, step: str, number: int) -> None:
        if step == "place":
            shape = SHAPES[number]
            self.see(shape)
            choice = self.chooser.best(shape)
            if choice is not None:
                self.taken.append((shape, allocation_of(self.cluster, shape, choice)))
                self.cluster.take(resources_of(shape), self.taken[-1][1])
        elif step == "give" and self.taken:
            shape, allocation = self.taken.pop(number % len(self.taken))
            self.cluster.give(resources_of(shape), allocation)
        elif step == "come":
            self.cluster.observe(Node(f"n{number}", 48_000, 131_072, number % 9, "abcdef"[number % 6]))
        elif step == "see":
            for _ in range(20):
                self.see(SHAPES[number % len(SHAPES)])
        elif step != "give":
            self.change(step, self.cluster.nodes[number % len(self.cluster)])

    def see(self, shape: Shape) -> None:
        before = self.chooser.memory
        self.seen.append(shape)
        self.chooser.saw(shape)
        if self.chooser.memory != before:
            self.seen.clear()

    def change(self, step: str, node: Node) -> None:
        changed = {
            "cordon": replace(node, is_cordoned=not node.is_cordoned),
            "remove": replace(node, is_present=not node.is_present),
            "fail": replace(node, failed_devices=(0,) if not node.failed_devices else ()),
            "grow": replace(node, cpu_milli=node.cpu_milli + 10_000),
        }
        self.cluster.observe(changed[step])

    def afresh(self) -> Chooser:
        """The chooser that a restart would make now: from the memory, and what was seen since it changed."""
        chooser = self.policy.chooser(self.cluster, self.chooser.memory)
        for shape in self.seen:
            chooser.saw(shape)
        return chooser


def assert_same(one: Chooser, other: Chooser, nodes: int) -> None:
    for shape in SHAPES:
        assert one.best(shape) == other.best(shape)
        kept, computed = one.ranking(shape, nodes), other.ranking(shape, nodes)
        assert kept.rows.tolist() == computed.rows.tolist()
        assert kept.scores.tolist() == computed.scores.tolist()
        assert kept.feasible == computed.feasible
    assert one.memory == other.memory


@pytest.mark.parametrize("policy", sorted(POLICIES))
@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_kept_scores_are_those_of_a_chooser_made_afresh(policy: str, steps: list[tuple[str, int]]) -> None:
    world = World(policy)
    for step, number in steps:
        world.do(step, number)
    assert_same(world.chooser, world.afresh(), len(world.cluster))


@pytest.mark.parametrize("policy", ["best_fit", "residual_value"])
def test_only_rows_that_changed_are_computed_anew(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(nodes: Cluster, rows: Ints, shape: Shape) -> Flags:
        asked.append(rows.size)
        return fits(nodes, rows, shape)

    monkeypatch.setattr(scoring, "fits", counted)
    world = World(policy)
    for _ in range(3):
        choice = world.chooser.best(gpu(1, 300))
        assert choice is not None
        world.cluster.take(resources_of(gpu(1, 300)), allocation_of(world.cluster, gpu(1, 300), choice))
    assert asked == [4, 1, 1]


def test_scores_are_kept_for_so_many_shapes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "KEPT_SCORES", 8)
    nodes = cluster(a=[1000], b=[1000])
    chooser = policy_named("best_fit").chooser(nodes)
    assert isinstance(chooser, ScoringChooser)
    for milli in range(1, 30):
        assert chooser.best(gpu(1, milli)) is not None
    assert len(chooser._kept) == 4
    assert gpu(1, 29) in chooser._kept


def test_a_cluster_that_forgot_its_journal_is_looked_at_whole() -> None:
    nodes = Cluster([Node("a", 64_000, 262_144, 1, "a")])
    chooser = policy_named("best_fit").chooser(nodes)
    assert chooser.best(gpu()) is not None
    nodes.observe(Node("b", 64_000, 262_144, 8, "b"))
    assert chooser.ranking(gpu(8), 2).rows.tolist() == [1]
