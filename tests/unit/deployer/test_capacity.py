"""Arithmetic of replicas, and what becomes of reservations."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.placement import ReleaseCapacity
from schemas.resources import Allocation
from services.deployer.domain.capacity import give_up, release_orphans, replicas_at, reservation_id, with_answers
from services.deployer.domain.model import Reservation, Revision, Rollout
from services.deployer.domain.observation import Answer, AnswerKind
from tests.unit.deployer.world import DEPLOYMENT, TENANT, spec_of

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
    return Rollout(deployment_id=DEPLOYMENT, tenant_id=TENANT, since=datetime(2026, 3, 1, tzinfo=UTC))


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
    holds = kind in (AnswerKind.QUEUED, AnswerKind.RESERVED)
    assert released(change.says) == ([identity] if holds else [])


def test_answers_fill_in_places_and_never_move_them() -> None:
    first, second = uuid4(), uuid4()
    revision = revision_with(
        Reservation(reservation_id=first, stage=0, replicas=1), Reservation(reservation_id=second, stage=1, replicas=1)
    )
    granted = with_answers(revision, {first: Answer(AnswerKind.RESERVED, "", PLACES)})
    assert not granted.is_reserved
    assert [slot.devices for slot in granted.slots] == [(3,)]
    elsewhere = (Allocation(replica=0, node="n9", devices=(9,), gpu_milli=1000),)
    again = with_answers(granted, {found: Answer(AnswerKind.RESERVED, "", elsewhere) for found in (first, second)})
    assert again.is_reserved
    assert {slot.node for slot in again.slots if slot.reservation_id == first} == {"n1"}
