"""The log as trails, windows and held GPUs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from infra.demo.trails import drained_at, held_gpus, promoted_trail, rolled_back_trails, trail, windows_of
from schemas.rollout import AnalysisCompleted, Verdict
from tests.unit.demo.world import NOON, SEEN, WINDOW_SECONDS, World


@pytest.fixture
def world() -> World:
    """An empty log."""
    return World()


def test_a_trail_is_the_steps_of_one_revision_alone(world: World) -> None:
    world.first_revision(0)
    world.first_revision(1)
    world.second_revision(0, (10, 100))
    assert trail(world.log, world.deployments[0].deployment_id, 1) == ["stage 0", "100 %", "Pass", "promoted"]
    assert trail(world.log, world.deployments[0].deployment_id, 2) == promoted_trail((10, 100))
    assert trail(world.log, world.deployments[1].deployment_id, 2) == []


def test_what_stands_on_the_log_twice_happened_once(world: World) -> None:
    world.first_revision(0)
    once = trail(world.log, world.deployments[0].deployment_id, 1)
    assert trail([*world.log, *world.log], world.deployments[0].deployment_id, 1) == once


def test_a_window_that_was_extended_is_one_window_and_no_step(world: World) -> None:
    world.second_revision(0, (10, 100))
    extended = AnalysisCompleted(
        **world.about(0, 2), stage=0, verdict=Verdict.NO_DATA, reason="2 requests", canary=SEEN
    )
    before = trail(world.log, world.deployments[0].deployment_id, 2), windows_of(world.log)
    world.now = NOON + timedelta(seconds=1)
    world.say(extended)
    world.log.insert(4, world.log.pop())
    assert (trail(world.log, world.deployments[0].deployment_id, 2), windows_of(world.log)) == before


def test_trails_that_a_bad_version_may_have_never_reach_the_last_weight() -> None:
    assert rolled_back_trails((10, 50, 100)) == [
        ["stage 0", "10 %", "Fail", "aborted", "0 %", "rolled back"],
        ["stage 0", "10 %", "Pass", "stage 1", "50 %", "Fail", "aborted", "0 %", "rolled back"],
    ]


def test_a_weight_stands_from_its_being_read_back_to_its_verdict(world: World) -> None:
    world.second_revision(0, (25, 100))
    first, second = windows_of(world.log)
    length = timedelta(seconds=WINDOW_SECONDS)
    assert (first.weight, first.since, first.until) == (25, NOON, NOON + length)
    assert (second.weight, second.since, second.until) == (100, NOON + length, NOON + 2 * length)
    assert {first.deployment_id, second.deployment_id} == {world.deployments[0].deployment_id}


def test_a_weight_of_0_is_known_with_its_time(world: World) -> None:
    world.second_revision(2)
    world.second_revision(0)
    (key,) = drained_at(world.log)
    assert key == (world.deployments[2].deployment_id, 2)
    assert drained_at(world.log)[key] == NOON + timedelta(seconds=WINDOW_SECONDS + 1)


def test_gpus_are_held_from_reservation_to_release(world: World) -> None:
    item = world.deployments[0]
    each = item.spec.replicas * item.spec.resources.total_gpu_milli
    world.ask(0, 1)
    assert held_gpus(world.log) == {(item.deployment_id, 1): each}
    world.ask(0, 2)
    world.release(0, 1)
    assert held_gpus(world.log) == {(item.deployment_id, 2): each}
    assert held_gpus([*world.log, *world.log]) == {(item.deployment_id, 2): each}
