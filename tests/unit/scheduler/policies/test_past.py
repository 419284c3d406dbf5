"""The memory of a policy: what it keeps, when it changes, and that a restart makes no difference."""

from __future__ import annotations

import json

import pytest

from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.policies.fgd import Fgd
from services.scheduler.domain.policies.interface import Policy
from services.scheduler.domain.policies.past import BLOCK, TOLD, Past, first_memory, fixed_memory, past_of
from services.scheduler.domain.policies.residual_value import ResidualValue
from services.scheduler.domain.policies.workload import PRIOR
from tests.unit.scheduler.policies.world import cluster, cpu_only, gpu, take

SHAPES = [gpu(1, 300), gpu(1, 810, cpu=3000), gpu(), gpu(2, 1000, "a"), cpu_only(8000)]


def test_before_anything_was_asked_for_the_prior_holds() -> None:
    assert Past().workload() == PRIOR


def test_the_first_blocks_are_short_then_the_past_doubles() -> None:
    past = Past()
    complete = [pods for pods in range(1, 4_001) if past.saw(gpu(), 1)]
    assert complete == [50, 100, 200, 400, 800, 1_300, 1_800, 2_300, 2_800, 3_300, 3_800]


def test_only_the_last_pods_count() -> None:
    past = Past(remembered=2_000)
    for _ in range(3_800):  # where a block ends
        past.saw(gpu(), 1)
    for _ in range(4 * BLOCK):
        past.saw(gpu(2), 1)
    assert past.workload() == {gpu(2): 2_000}


def test_few_remembered_pods_make_short_blocks() -> None:
    past = Past(remembered=60)
    for number in range(600):
        past.saw(gpu(1 + number // 500), 1)
    assert past.workload() == {gpu(2): 50}


def test_many_pods_at_once_are_one_block() -> None:
    past = Past()
    assert past.saw(gpu(), 3_000)
    assert past.workload() == {gpu(): 3_000}


def test_a_given_workload_stays() -> None:
    past = past_of(json.loads(fixed_memory({gpu(): 2, gpu(2): 1}))["past"])
    assert [past.saw(cpu_only(), 1) for _ in range(50)][-1]
    assert past.workload() == {gpu(): 2, gpu(2): 1}


def test_a_workload_that_is_told_at_first_gives_way_to_what_is_seen() -> None:
    past = past_of(json.loads(first_memory({gpu(): 7_000, gpu(2): 1}))["past"])
    assert past.workload() == {gpu(): TOLD, gpu(2): 1}
    for _ in range(6_000):
        past.saw(cpu_only(), 1)
    assert set(past.workload()) == {cpu_only()}


def test_what_is_told_as_json_is_what_comes_back() -> None:
    past = Past()
    for number in range(1_000):
        past.saw(SHAPES[number % 5], 1)
    told = json.loads(json.dumps(past.as_json()))
    assert past_of(told).workload() == past.workload()
    assert past_of(told).as_json() == past.as_json()


@pytest.mark.parametrize(
    "policy", [Fgd(), ResidualValue(), policy_named("random")], ids=lambda policy: str(policy.name)
)
def test_a_restart_at_any_time_makes_no_difference(policy: Policy) -> None:
    """The memory, and what was asked for since it changed, are all that is needed; the same as if nothing happened."""
    sizes = {"a": 2, "b": 4, "c": 8}
    nodes = cluster(**{f"{model}{number}": [1000] * sizes[model] for number in range(60) for model in sizes})
    steady = restarted = policy.chooser(nodes)
    since: list[Shape] = []
    for number in range(700):
        shape = SHAPES[(number * number) % 5]
        if number % 90 == 89:
            restarted = policy.chooser(nodes, restarted.memory)
            for seen in since:
                restarted.saw(seen)
        choice = steady.best(shape)
        assert restarted.best(shape) == choice
        before = steady.memory
        steady.saw(shape)
        if restarted is not steady:
            restarted.saw(shape)
        since.append(shape)
        if steady.memory != before:
            since.clear()
        assert restarted.memory == steady.memory
        if choice is not None:
            take(nodes, shape, choice)
