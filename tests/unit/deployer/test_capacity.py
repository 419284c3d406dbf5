"""Arithmetic of replicas, and what becomes of reservations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.placement import ReleaseCapacity
from schemas.resources import Allocation
from services.deployer.domain.capacity import give_up, release_orphans, replicas_at, reservation_id, with_answers
from services.deployer.domain.model import Rollout
from services.deployer.domain.observation import Answer, AnswerKind, Preemption
from services.deployer.domain.revision import Reservation, Revision
from tests.unit.deployer.world import DEPLOYMENT, TENANT, spec_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLACES = (Allocation(replica=0, node="n1", devices=(3,), gpu_milli=1000),)


@pytest.mark.parametrize(
    ("weight", "replicas", "wanted"),
    [(10, 4, 1), (25, 4, 1), (50, 4, 2), (100, 4, 4), (25, 10, 3), (10, 1, 1), (1, 1000, 10), (51, 2, 2)],
)
def test_replicas_at(weight: int, replicas: int, wanted: int) -> None:
    assert replicas_at(weight, replicas) == wanted


@given(low=st.integers(1, 100), high=st.integers(1, 100), replicas=st.integers(1, 1000))
def test_more_weight_never_needs_fewer_replicas(low: int, high: int, replicas: int) -> None:
    low, high = sorted((low, high))
    assert 1 <= replicas_at(low, replicas) <= replicas_at(high, replicas) <= replicas
    assert replicas_at(high, replicas) * 100 >= replicas * high, "the share is carried"


def test_reservation_id_is_the_same_each_time_and_another_for_each_stage() -> None:
    assert reservation_id(DEPLOYMENT, 2, 1) == reservation_id(DEPLOYMENT, 2, 1)
    others = {reservation_id(DEPLOYMENT, revision, stage) for revision in range(1, 9) for stage in range(9)}
    assert len(others) == 72


def revision_with(*reservations: Reservation) -> Revision:
    return Revision(number=2, spec=spec_of("v2"), reservations=reservations)


def rollout() -> Rollout:
    return Rollout(deployment_id=DEPLOYMENT, tenant_id=TENANT, since=NOW)


def released(says: tuple[object, ...]) -> list[UUID]:
    data = [getattr(said, "data", None) for said in says]
    return [item.reservation_id for item in data if isinstance(item, ReleaseCapacity)]


@pytest.mark.parametrize(
    ("answer", "is_held", "is_released", "is_orphan"),
    [
        (None, False, False, True),
        (None, True, True, False),
        (AnswerKind.QUEUED, False, True, False),
        (AnswerKind.RESERVED, False, True, False),
        (AnswerKind.RESERVED, True, True, False),
        (AnswerKind.LOST, True, True, False),
        (AnswerKind.REJECTED, False, False, False),
        (AnswerKind.RELEASED, True, False, False),
    ],
)
def test_give_up(answer: AnswerKind | None, is_held: bool, is_released: bool, is_orphan: bool) -> None:
    identity = uuid4()
    reservation = Reservation(reservation_id=identity, stage=0, replicas=1, allocations=PLACES if is_held else None)
    answers = {identity: Answer(answer)} if answer else {}
    change = give_up(rollout(), revision_with(reservation), answers, "given up")
    assert released(change.says) == ([identity] if is_released else [])
    assert [orphan.reservation_id for orphan in change.state.orphans] == ([identity] if is_orphan else [])


@pytest.mark.parametrize("kind", list(AnswerKind))
def test_orphan_is_released_once_it_is_answered(kind: AnswerKind) -> None:
    identity = uuid4()
    reservation = Reservation(reservation_id=identity, stage=0, replicas=1)
    state = give_up(rollout(), revision_with(reservation), {}, "given up").state
    assert release_orphans(state, {}) is None
    change = release_orphans(state, {identity: Answer(kind)})
    assert change is not None
    assert not change.state.orphans
    holds = kind in (AnswerKind.QUEUED, AnswerKind.RESERVED, AnswerKind.LOST)
    assert released(change.says) == ([identity] if holds else [])


def test_answers_fill_in_places_and_move_them() -> None:
    first, second = uuid4(), uuid4()
    revision = revision_with(
        Reservation(reservation_id=first, stage=0, replicas=1), Reservation(reservation_id=second, stage=1, replicas=1)
    )
    granted = with_answers(revision, {first: Answer(AnswerKind.RESERVED, "", PLACES)}, NOW)
    assert not granted.is_reserved
    assert [slot.devices for slot in granted.slots] == [(3,)]
    assert with_answers(granted, {first: Answer(AnswerKind.RESERVED, "", PLACES)}, NOW) is granted
    elsewhere = (Allocation(replica=0, node="n9", devices=(9,), gpu_milli=1000),)
    moved = {found: Answer(AnswerKind.RESERVED, "", elsewhere) for found in (first, second)}
    again = with_answers(granted, moved, NOW)
    assert again.is_reserved
    assert {slot.node for slot in again.slots} == {"n9"}


def test_lost_places_are_missing_and_those_given_back_stay_so() -> None:
    identity = uuid4()
    places = tuple(Allocation(replica=number, node="n1", devices=(number,), gpu_milli=1000) for number in range(4))
    held = Reservation(reservation_id=identity, stage=0, replicas=4, allocations=places, gone=(1,))
    left = with_answers(revision_with(held), {identity: Answer(AnswerKind.LOST, "failed", places[:3])}, NOW)
    assert [slot.replica for slot in left.slots] == [0, 2]
    assert left.reservations[0].missing == {3}
    assert (left.asked_replicas, left.missing_replicas) == (3, 1)


def test_a_drain_keeps_the_time_that_it_was_given_first() -> None:
    identity, claimant, later = uuid4(), uuid4(), NOW + timedelta(seconds=60)
    held = Reservation(reservation_id=identity, stage=0, replicas=1, allocations=PLACES)
    asked = Answer(AnswerKind.RESERVED, "", PLACES, (Preemption(0, claimant, "Priority: more"),))
    drained = with_answers(revision_with(held), {identity: asked}, NOW)
    assert [(drain.replica, drain.end_at) for drain in drained.draining] == [(0, NOW)]
    assert not drained.slots
    assert [slot.replica for slot in drained.leaving_slots] == [0]
    assert with_answers(drained, {identity: asked}, later) is drained
    spared = with_answers(drained, {identity: Answer(AnswerKind.RESERVED, "", PLACES)}, later)
    assert not spared.draining
    assert len(spared.slots) == 1


def test_what_is_asked_for_says_all_that_the_spec_says() -> None:
    spec = spec_of("v2", priority=700, preemptible=True, start_within_seconds=60, expected_seconds=3600)
    stage_zero, later = (Reservation(reservation_id=uuid4(), stage=stage, replicas=2) for stage in (0, 2))
    revision = Revision(number=2, spec=spec, reservations=())
    first = revision.asks_for(DEPLOYMENT, stage_zero, is_surge=False)
    assert (first.priority, first.preemptible, first.expected_seconds) == (700, True, 3600)
    assert (first.start_within_seconds, first.is_surge) == (60, False)
    second = revision.asks_for(DEPLOYMENT, later, is_surge=True)
    assert (second.start_within_seconds, second.is_surge) == (None, True), "only first GPUs have the tenant's limit"
