"""The read model: the state that people see, whatever order the topics come in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from schemas.base import EventData
from schemas.catalogue import event_types
from schemas.deployment import DeploymentCancelled, DeploymentRejected, Violation
from schemas.placement import CapacityReleased
from schemas.rollout import (
    AnalysisCompleted,
    Measurement,
    RolloutAborted,
    RolloutPaused,
    RolloutPromoted,
    RolloutRemoved,
    RolloutResumed,
    RolloutRolledBack,
    RolloutStarted,
    StageEntered,
    TrafficShifted,
    Verdict,
)
from services.ingest_api.domain.fold import STEPS, fold
from services.ingest_api.domain.view import DeploymentView, State
from tests.fakes.ingest_api.builders import (
    DECISION,
    DEPLOYMENT,
    FIRST,
    SECOND,
    capacity_rejected,
    lost,
    preempted,
    queued,
    released,
    requested,
    reserved,
    withdrawn,
)

SEEN = Measurement(requests=100, errors=20, latency_p99_ms=80)


def about(revision: int = 1) -> dict[str, Any]:
    """The fields that every rollout event has."""
    return {"deployment_id": DEPLOYMENT, "revision": revision}


def view_after(*events: EventData) -> DeploymentView:
    """The view after these events."""
    view = DeploymentView(deployment_id=DEPLOYMENT)
    for data in events:
        view = fold(view, data)
    return view


def started(revision: int = 1, stable: int | None = None) -> RolloutStarted:
    """A rollout of a revision."""
    return RolloutStarted(**about(revision), version=f"{revision}.0", stable_revision=stable, weights=(10, 100))


ENTERED = StageEntered(**about(), stage=0, weight=100, ready_replicas=4)
PAUSED = RolloutPaused(**about(), reason="look")
CANCELLED = DeploymentCancelled(deployment_id=DEPLOYMENT, reason="old")
SERVED = (requested(), reserved(), started(), ENTERED, RolloutPromoted(**about(), version="1.0"))

STORIES: list[tuple[State, Sequence[EventData]]] = [
    (State.REQUESTED, [requested()]),
    (State.QUEUED, [requested(), queued()]),
    (State.REQUESTED, [requested(), queued(), reserved()]),
    (State.REJECTED, [requested(), capacity_rejected()]),
    (State.REJECTED, [requested(), started(), capacity_rejected(), RolloutRolledBack(**about(), reason="no GPUs")]),
    (State.ROLLING_OUT, [requested(), reserved(), started()]),
    (State.QUEUED, [requested(), started(), queued()]),
    (State.ROLLING_OUT, [requested(), started(), ENTERED, queued(SECOND)]),
    (State.PAUSED, [requested(), started(), PAUSED]),
    (State.ROLLING_OUT, [requested(), started(), PAUSED, RolloutResumed(**about(), reason="y")]),
    (State.SERVING, SERVED),
    (State.REQUESTED, [*SERVED, requested(2, SECOND)]),
    (State.QUEUED, [*SERVED, requested(2, SECOND), queued(SECOND)]),
    (State.ROLLING_OUT, [*SERVED, requested(2, SECOND), started(2, 1)]),
    (State.ROLLING_BACK, [*SERVED, requested(2, SECOND), started(2, 1), RolloutAborted(**about(2), reason="bad")]),
    (State.ROLLED_BACK, [*SERVED, requested(2, SECOND), started(2, 1), RolloutRolledBack(**about(2), reason="bad")]),
    (State.REMOVING, [*SERVED, CANCELLED]),
    (State.REMOVED, [*SERVED, CANCELLED, RolloutRemoved(**about(), reason="old")]),
    (State.REJECTED, [*SERVED, requested(2, SECOND), capacity_rejected(SECOND)]),
    (State.REQUESTED, [requested(), capacity_rejected(), requested(2, SECOND)]),
    (State.SERVING, [*SERVED, lost((0, 1)), queued()]),
    (State.SERVING, [*SERVED, lost((0, 1)), queued(), reserved(), preempted((2,)), withdrawn((2,))]),
    (State.SERVING, [*SERVED, preempted((2,)), released(replicas=(2,))]),
    (State.QUEUED, [requested(), reserved(), lost((0,)), queued()]),
]


@pytest.mark.parametrize(("state", "story"), STORIES)
def test_a_story_ends_in_its_state(state: State, story: Sequence[EventData]) -> None:
    assert view_after(*story).state is state


@pytest.mark.parametrize(("state", "story"), STORIES)
def test_topics_may_overtake_each_other(state: State, story: Sequence[EventData]) -> None:
    """Each topic in its own order, the topics one after the other, in every order."""
    topics = {data.topic: [each for each in story if each.topic == data.topic] for data in story}
    for order in permutations(topics.values()):
        assert view_after(*(data for topic in order for data in topic)).state is state


@pytest.mark.parametrize(("state", "story"), STORIES)
def test_an_event_that_comes_twice_in_a_row_changes_nothing(state: State, story: Sequence[EventData]) -> None:
    twice = view_after(*(data for data in story for _ in range(2)))
    assert twice == view_after(*story)


def test_a_rollout_is_followed_by_its_numbers() -> None:
    verdict = AnalysisCompleted(**about(), stage=0, verdict=Verdict.FAIL, reason="20 % errors", canary=SEEN)
    rollout = view_after(requested(), started(), ENTERED, TrafficShifted(**about(), weight=10), verdict).rollout
    assert rollout is not None
    assert (rollout.stage, rollout.target_weight, rollout.weight, rollout.ready_replicas) == (0, 100, 10, 4)
    assert rollout.analysis is not None
    assert (rollout.analysis.verdict, rollout.analysis.reason) == ("Fail", "20 % errors")


def test_what_is_said_of_an_old_rollout_is_past() -> None:
    view = view_after(*SERVED, requested(2, SECOND), started(2, 1))
    assert fold(view, TrafficShifted(**about(1), weight=0)) == view
    assert (view.stable_revision, view.stable_version) == (1, "1.0")


def test_a_release_ends_the_wait_of_its_own_reservation_only() -> None:
    view = view_after(requested(), queued(FIRST))
    released = {"deployment_id": DEPLOYMENT, "decision": DECISION, "gpu_milli": 0, "reason": "gone"}
    assert fold(view, CapacityReleased(reservation_id=SECOND, **released)).waiting is not None
    assert fold(view, CapacityReleased(reservation_id=FIRST, **released)).waiting is None


def test_what_is_lost_is_shown_until_it_has_a_place_again() -> None:
    view = view_after(*SERVED, lost((0, 1)), lost((7,), SECOND))
    assert [(each.reservation_id, each.replicas) for each in view.lost] == [(FIRST, (0, 1)), (SECOND, (7,))]
    assert (view.lost[0].reason, view.lost[0].detail) == ("NodeRemoved", "node-1 is gone")
    waiting = fold(view, queued())
    assert waiting.waiting is not None
    again = fold(waiting, reserved())
    assert (again.waiting, [each.reservation_id for each in again.lost]) == (None, [SECOND])
    assert [each.replicas for each in fold(view, released(replicas=(0,))).lost] == [(1,), (7,)]
    assert [each.reservation_id for each in fold(view, released()).lost] == [SECOND]


def test_what_drains_is_shown_until_it_is_gone_or_may_stay() -> None:
    view = view_after(*SERVED, preempted((0, 1)), preempted((0,), SECOND))
    assert [(each.reservation_id, each.replicas) for each in view.draining] == [(FIRST, (0, 1)), (SECOND, (0,))]
    assert (view.draining[0].reason, view.draining[0].detail) == ("Priority", "8 GPUs are needed at priority 500")
    for data, left in (
        (withdrawn((1,)), [(0,), (0,)]),
        (released(replicas=(0,)), [(1,), (0,)]),
        (lost((0, 1)), [(0,)]),
    ):
        assert [each.replicas for each in fold(view, data).draining] == left, type(data)
    assert [each.reservation_id for each in fold(view, released()).draining] == [SECOND]


def test_what_waits_goes_on_waiting_when_some_replicas_are_given_back() -> None:
    view = view_after(*SERVED, lost((0,)), queued())
    assert fold(view, released(replicas=(1,))).waiting is not None
    assert fold(view, released()).waiting is None


def test_a_refusal_is_all_there_is_to_show_of_what_never_was() -> None:
    rejected = DeploymentRejected(
        deployment_id=DEPLOYMENT,
        name="chat",
        code="model-not-found",
        violations=(Violation(pointer="/model", message="register it first"),),
    )
    view = view_after(rejected)
    assert (view.state, view.name) == (State.REJECTED, "chat")
    assert view.refusal is not None
    assert view.refusal.detail == "register it first"
    assert view_after(*SERVED, rejected) == view_after(*SERVED)


def test_every_event_about_a_deployment_has_its_step() -> None:
    topics = {"taxiway.deployment.events.v1", "taxiway.placement.events.v1", "taxiway.rollout.events.v1"}
    assert {model for model in event_types().values() if model.topic in topics} == set(STEPS)
