"""Arithmetic of replicas and the life of reservations: asked, held, released exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid5

from schemas.placement import ReleaseCapacity
from services.deployer.domain.model import Orphan, Reservation, Revision, Rollout
from services.deployer.domain.observation import Answer, AnswerKind, Request
from services.deployer.domain.transition import Change, Said

RESERVATIONS = UUID("5f0a4f0e-6a70-5c0e-9d5b-6a1f8a0c7e11")
"""Namespace of the reservations that later stages ask for."""


def replicas_at(weight: int, replicas: int) -> int:
    """Replicas that `weight` percent of the traffic need: 3 of 10 at 25 %, 1 of 4 at 10 %, never 0."""
    return max(1, -(-replicas * weight // 100))


def reservation_id(deployment_id: UUID, revision: int, stage: int) -> UUID:
    """Identity of a stage's reservation: the same however often the stage is entered, before and after a restart."""
    return uuid5(RESERVATIONS, f"{deployment_id}/{revision}/{stage}")


def first_revision(request: Request) -> Revision:
    """The requested revision with the reservation that the request itself asked for."""
    asked = Reservation(reservation_id=request.reservation_id, stage=0, replicas=request.first_stage_replicas)
    return Revision(number=request.revision, spec=request.spec, reservations=(asked,))


def asking_for_stage(state: Rollout) -> Change:
    """Ask for the GPUs that the present stage still lacks; nothing when there are enough."""
    canary = state.canary
    if canary is None:
        return Change(state)
    missing = replicas_at(state.weights[state.stage], canary.spec.replicas) - canary.asked_replicas
    if missing <= 0:
        return Change(state)
    identity = reservation_id(state.deployment_id, canary.number, state.stage)
    asked = Reservation(reservation_id=identity, stage=state.stage, replicas=missing)
    grown = canary.model_copy(update={"reservations": (*canary.reservations, asked)})
    command = Said(canary.number, canary.asks(state.deployment_id, asked))
    return Change(state.model_copy(update={"canary": grown}), (command,))


def with_answers(revision: Revision, answers: Mapping[UUID, Answer]) -> Revision:
    """`revision` with the allocations of the reservations that were granted since."""
    reservations = tuple(_granted(reservation, answers) for reservation in revision.reservations)
    return revision.model_copy(update={"reservations": reservations})


def _granted(reservation: Reservation, answers: Mapping[UUID, Answer]) -> Reservation:
    answer = answers.get(reservation.reservation_id)
    if answer is None or answer.kind is not AnswerKind.RESERVED or reservation.allocations is not None:
        return reservation
    return reservation.model_copy(update={"allocations": answer.allocations})


def give_up(state: Rollout, revision: Revision, answers: Mapping[UUID, Answer], reason: str) -> Change:
    """Let go of all GPUs of a revision without pods: release what was answered, remember what was not.

    The caller takes the revision out of the state in the same step, so that nothing is released twice.
    """
    says: list[Said] = []
    orphans = list(state.orphans)
    for reservation in revision.reservations:
        answer = answers.get(reservation.reservation_id)
        if answer is None and reservation.allocations is None:
            orphans.append(Orphan(reservation_id=reservation.reservation_id, revision=revision.number, reason=reason))
        elif answer is None or answer.kind in (AnswerKind.QUEUED, AnswerKind.RESERVED):
            says.append(_release(state, revision.number, reservation.reservation_id, reason))
    return Change(state.model_copy(update={"orphans": tuple(orphans)}), tuple(says))


def release_orphans(state: Rollout, answers: Mapping[UUID, Answer]) -> Change | None:
    """Release the given-up reservations that were answered by now; None when there are none."""
    answered = [orphan for orphan in state.orphans if orphan.reservation_id in answers]
    if not answered:
        return None
    kept = tuple(orphan for orphan in state.orphans if orphan.reservation_id not in answers)
    says = tuple(
        _release(state, orphan.revision, orphan.reservation_id, orphan.reason)
        for orphan in answered
        if answers[orphan.reservation_id].kind in (AnswerKind.QUEUED, AnswerKind.RESERVED)
    )
    return Change(state.model_copy(update={"orphans": kept}), says)


def _release(state: Rollout, revision: int, reservation: UUID, reason: str) -> Said:
    return Said(
        revision,
        ReleaseCapacity(reservation_id=reservation, deployment_id=state.deployment_id, reason=reason[:2000]),
    )
