"""Step 4 holds only when every stage was gone through, the traffic was split, and the GPUs came back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.demo.canaries import canary_faults
from infra.demo.deployments import BAD, WEIGHTS
from schemas.placement import CapacityReleased
from schemas.rollout import AnalysisCompleted, RolloutPromoted, TrafficShifted, Verdict
from tests.unit.demo.world import World, reservation

SPOILT = 0
"""Number of the deployment, a good one, that a test spoils."""


def with_second_revision(weights: Sequence[int]) -> World:
    """All went well, but one second revision was given other stages."""
    world = World()
    for number in range(len(world.deployments)):
        world.first_revision(number)
        world.second_revision(number, weights if number == SPOILT else WEIGHTS)
    return world


def test_a_demo_that_went_well_has_no_faults() -> None:
    assert World.that_went_well().faults() == []


@pytest.mark.parametrize("weights", [(100,), (10, 100), (10, 50, 25, 100), (10, 25, 50), (11, 25, 50, 100)])
def test_stages_left_out_swapped_or_of_another_weight_are_a_fault(weights: tuple[int, ...]) -> None:
    world = with_second_revision(weights)
    (fault,) = world.faults()
    assert fault.startswith(f"{world.deployments[SPOILT].spec.name} went stage 0, {weights[0]} %, Pass")


def test_a_stage_without_a_verdict_is_a_fault() -> None:
    world = World.that_went_well()
    world.without(lambda data: isinstance(data, AnalysisCompleted) and data.revision == 2 and data.stage == 1)
    assert len([fault for fault in world.faults() if "must go" in fault]) == len(world.deployments) - len(BAD)


def test_a_good_version_that_was_not_promoted_is_a_fault() -> None:
    world = World.that_went_well()
    world.without(lambda data: isinstance(data, RolloutPromoted) and data.revision == 2)
    assert len(world.faults()) == len(world.deployments) - len(BAD)


def test_a_bad_version_may_be_found_out_later_but_never_with_all_traffic() -> None:
    def world_where_bad_ones_reach(stages: int) -> World:
        world = World()
        for number in range(len(world.deployments)):
            world.first_revision(number)
            if number not in BAD:
                world.second_revision(number)
                continue
            world.ask(number, 2)
            for stage, weight in enumerate(WEIGHTS[:stages]):
                is_last = stage == stages - 1
                world.stage(number, 2, stage, weight, Verdict.FAIL if is_last else Verdict.PASS)
            world.roll_back(number)
        return world

    assert world_where_bad_ones_reach(3).faults() == []
    assert len(world_where_bad_ones_reach(4).faults()) == len(BAD)


def test_a_bad_version_whose_weight_was_not_read_back_as_0_is_a_fault() -> None:
    world = World.that_went_well()
    world.without(lambda data: isinstance(data, TrafficShifted) and data.weight == 0)
    assert len(world.faults()) == len(BAD)


@pytest.mark.parametrize(
    ("what", "spoil", "faults"),
    [
        ("all to the new version from the start", lambda _, revision: 2, 3),
        ("none to the new version", lambda _, revision: 1, 4),
        ("half to each at all times", lambda index, revision: 1 + index % 2, 3),
        ("at 100 % a few still to the old one", lambda index, revision: 1 if index % 60 == 59 else revision, 1),
    ],
)
def test_traffic_that_does_not_follow_the_weights_is_a_fault(
    what: str, spoil: Callable[[int, int], int], faults: int
) -> None:
    world = World.that_went_well()
    own = [
        index
        for index, answer in enumerate(world.answered)
        if answer.deployment_id == world.deployments[SPOILT].deployment_id
    ][60:]  # those of the second revision
    for count, index in enumerate(own):
        answer = world.answered[index]
        world.answered[index] = replace(answer, revision=spoil(count, answer.revision or 0))
    found = [fault for fault in world.faults() if world.deployments[SPOILT].deployment_id in fault]
    assert len(found) == faults, what


def test_requests_that_nobody_answered_are_on_no_side() -> None:
    world = World.that_went_well()
    world.answered += [replace(answer, status=0, revision=None) for answer in world.answered]
    assert world.faults() == []


def test_without_any_traffic_nothing_is_shown() -> None:
    world = World.that_went_well()
    world.answered.clear()
    assert len(world.faults()) == 4 * (len(world.deployments) - len(BAD)) + len(BAD)


def test_one_request_at_each_end_of_a_window_may_be_on_the_other_side() -> None:
    world = World.that_went_well()
    shifted = next(index for index, answer in enumerate(world.answered) if answer.revision == 2)
    world.answered[shifted] = replace(world.answered[shifted], revision=1)
    assert world.faults() == []


def test_a_request_that_reaches_a_bad_version_after_it_was_taken_back_is_a_fault() -> None:
    world = World.that_went_well()
    bad = world.deployments[next(iter(BAD))]
    last = max(answer.sent_at for answer in world.answered if answer.deployment_id == bad.deployment_id)
    world.answered.append(replace(world.answered[0], deployment_id=bad.deployment_id, sent_at=last, revision=2))
    (fault,) = world.faults()
    assert fault == f"{bad.spec.name}: 1 requests reached the bad version after its weight was 0"
    early = replace(world.answered.pop(), sent_at=last - timedelta(hours=1))
    world.answered.append(early)
    assert world.faults() == [], "what came while it still had weight is none"


@pytest.mark.parametrize(("number", "revision"), [(SPOILT, 1), (next(iter(BAD)), 2)])
def test_gpus_of_a_replaced_or_bad_version_that_stay_are_a_fault(number: int, revision: int) -> None:
    world = World.that_went_well()
    kept = reservation(number, revision)
    world.without(lambda data: isinstance(data, CapacityReleased) and data.reservation_id == kept)
    still, total = world.faults()
    assert still.startswith(f"{world.deployments[number].spec.name}: revision {revision} still holds")
    assert "by the log" in total


def test_a_log_and_an_api_that_disagree_on_gpus_are_a_fault() -> None:
    world = World.that_went_well()
    (fault,) = world.faults(used_milli=world.used_milli + 1)
    assert fault.endswith(f"{world.used_milli + 1} by /capacity")


def test_an_empty_log_is_no_success() -> None:
    world = World()
    assert len(canary_faults(world.deployments, [], [], world.used_milli)) >= len(world.deployments)
