"""Steps 3 and 7 and the figures: what the log must say, and what is missing when it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.demo.audit import count, deployment_faults, history_faults, percentile, seconds_to_placement
from infra.demo.deployments import WEIGHTS
from schemas.deployment import DeploymentRequested
from schemas.placement import CapacityRejected, CapacityReserved, QueueReason
from schemas.rollout import AnalysisCompleted, RolloutPromoted, StageEntered, TrafficShifted
from services.cli.history import HistoryLine, history_of
from tests.unit.demo.world import DECISION, NOON, World, reservation


@pytest.fixture
def world() -> World:
    """The first deployment alone, promoted twice."""
    world = World()
    world.first_revision(0)
    world.second_revision(0)
    return world


def lines_of(world: World) -> list[HistoryLine]:
    """The history of the first deployment."""
    return history_of(replayed for replayed in world.log if replayed.event)


def faults_of(lines: list[HistoryLine]) -> list[str]:
    """What the check of step 7 says."""
    return list(history_faults(lines, 2, WEIGHTS))


def test_a_whole_history_has_no_faults(world: World) -> None:
    assert faults_of(lines_of(world)) == []


def test_an_empty_history_lacks_everything() -> None:
    assert len(faults_of([])) == 2 + 3 * len(WEIGHTS) + 1 + 1


def is_second(kind: type[Any], **fields: Any) -> Callable[[Any], bool]:
    """Whether data is of `kind`, about the second revision, with `fields`."""
    return lambda data: (
        isinstance(data, kind)
        and getattr(data, "revision", 0) == 2
        and all(getattr(data, name) == value for name, value in fields.items())
    )


@pytest.mark.parametrize(
    ("left_out", "fault"),
    [
        (is_second(DeploymentRequested), "who asked for revision 2"),
        (is_second(CapacityReserved), "what was decided for it, and why"),
        (is_second(StageEntered, stage=1), "that stage 1 began"),
        (is_second(TrafficShifted, weight=50), "that 50 % were read back"),
        (is_second(AnalysisCompleted, stage=3), "the verdict on stage 3 with its reason"),
        (is_second(RolloutPromoted), "that it was promoted"),
    ],
)
def test_what_only_the_first_revision_has_does_not_count(
    world: World, left_out: Callable[[Any], bool], fault: str
) -> None:
    world.without(left_out)
    assert faults_of(lines_of(world)) == [f"it does not say {fault}"]


def test_a_decision_without_its_reason_is_a_fault(world: World) -> None:
    told = lines_of(world)
    index = next(
        index for index, line in enumerate(told) if "reserved" in line.words and "stage 0 of revision 2" in line.words
    )
    told[index] = replace(told[index], words=told[index].words.partition(": placed on")[0] + ".")
    assert faults_of(told) == ["it does not say what was decided for it, and why"]


def test_nobody_asked_is_a_fault(world: World) -> None:
    told = [replace(line, actor=None) if line.type == DeploymentRequested.type else line for line in lines_of(world)]
    assert faults_of(told) == ["it does not say who asked"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"lag_seconds": None}, "line 4 has the lag None"),
        ({"lag_seconds": -0.5}, "line 4 has the lag -0.5"),
        ({"words": ""}, "line 4 is without words or place"),
        ({"appended_at": NOON - timedelta(hours=1)}, "it is not in the order of time"),
    ],
)
def test_a_line_without_its_time_or_lag_is_a_fault(world: World, changes: dict[str, Any], fault: str) -> None:
    told = lines_of(world)
    told[3] = replace(told[3], **changes)
    assert fault in faults_of(told)


def test_deployments_must_come_by_the_channel_they_were_sent_by() -> None:
    world = World.that_went_well()
    for item in world.deployments:
        item.state = "serving"
    assert list(deployment_faults(world.log, world.deployments)) == []
    world.deployments[0].by_kafka = True
    world.deployments[1].state = "requested"
    assert list(deployment_faults(world.log, world.deployments)) == [
        f"{world.deployments[0].spec.name} was asked for by key:demo instead of a producer",
        f"{world.deployments[1].spec.name} is requested",
    ]
    assert "only one channel was used" in list(deployment_faults(world.log, world.deployments[:2][1:]))


def test_revisions_are_counted_by_what_became_of_them(world: World) -> None:
    world.ask(2, 2)
    world.roll_back(2)
    assert count(world.log)["rolled_back"] == 0, "it never began"
    world = World.that_went_well()
    about = world.about(0, 3)
    item = world.deployments[0]
    asked = DeploymentRequested(**about, spec=item.spec, reservation_id=reservation(0, 3), first_stage_replicas=1)
    refused = CapacityRejected(
        reservation_id=reservation(0, 3),
        deployment_id=about["deployment_id"],
        decision=DECISION,
        reason=QueueReason.QUOTA_EXCEEDED,
        detail="too much",
    )
    world.say(asked, refused)
    assert count(world.log) == {"requested": 17, "promoted": 14, "rolled_back": 2, "rejected": 1}


def test_the_time_to_placement_ends_when_the_first_stages_gpus_are_on_the_log(world: World) -> None:
    item = world.deployments[0]
    item.asked_at = {1: NOON - timedelta(seconds=2), 3: NOON}
    assert seconds_to_placement(world.log, world.deployments) == [2.0]


@given(st.lists(st.floats(0, 100), min_size=1).map(sorted), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values_and_grows_with_the_share(values: list[float], share: float) -> None:
    assert percentile(values, share) in values
    assert percentile(values, 0) == values[0]
    assert percentile(values, share) <= percentile(values, 1) == values[-1]


def test_without_values_the_percentile_is_0() -> None:
    assert percentile([], 0.99) == 0
