"""Arithmetic of replicas and the life of reservations: asked, held, released exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid5

from schemas.placement import ReleaseCapacity
from services.deployer.domain.model import Orphan, Rollout
from services.deployer.domain.observation import Answer, Request
from services.deployer.domain.revision import Drain, Reservation, Revision
from services.deployer.domain.transition import Change, Said

RESERVATIONS = UUID("5f0a4f0e-6a70-5c0e-9d5b-6a1f8a0c7e11")
"""Namespace of the reservations that the deployer asks for."""


def replicas_at(weight: int, replicas: int) -> int:
    """Replicas that `weight` percent of the traffic need: 3 of 10 at 25 %, 1 of 4 at 10 %, never 0."""
    return max(1, -(-replicas * weight // 100))


def reservation_id(deployment_id: UUID, revision: int, stage: int) -> UUID:
    """Identity of a stage's reservation: the same however often the stage is entered, before and after a restart."""
    return uuid5(RESERVATIONS, f"{deployment_id}/{revision}/{stage}")


def later_reservation_id(deployment_id: UUID, revision: int, ask: int) -> UUID:
    """Identity of what is asked for outside of a rollout, the `ask`-th time."""
    return uuid5(RESERVATIONS, f"{deployment_id}/{revision}/ask/{ask}")


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
    grown = canary.with_reservations(*canary.reservations, asked)
    command = canary.asks_for(state.deployment_id, asked, is_surge=state.stable is not None)
    return Change(state.model_copy(update={"canary": grown}), (Said(canary.number, command),))


def with_answers(revision: Revision, answers: Mapping[UUID, Answer], end_at: datetime) -> Revision:
    """`revision` with its places as the scheduler sees them now; who is asked to drain has until `end_at`."""
    return revision.with_reservations(
        *(_answered(held, answers.get(held.reservation_id), end_at) for held in revision.reservations)
    )


def _answered(held: Reservation, answer: Answer | None, end_at: datetime) -> Reservation:
    """What was given back stays so, even if the scheduler has not heard of it yet."""
    if answer is None or (held.allocations is None and not answer.allocations):
        return held
    placed = tuple(place for place in answer.allocations if place.replica not in held.gone)
    changes = {"allocations": placed, "draining": _draining(held, answer, {place.replica for place in placed}, end_at)}
    after = held.model_copy(update=changes)
    return held if after == held else after


def _draining(held: Reservation, answer: Answer, placed: set[int], end_at: datetime) -> tuple[Drain, ...]:
    """A drain that was known keeps its time; one that is not asked for any more ends, unless it is the deployer's."""
    known = {(drain.replica, drain.claimant): drain for drain in held.draining}
    own = {drain.replica: drain for drain in held.draining if drain.claimant is None and drain.replica in placed}
    asked = {
        item.replica: known.get((item.replica, item.claimant))
        or Drain(replica=item.replica, claimant=item.claimant, reason=item.reason, end_at=end_at)
        for item in answer.preemptions
        if item.replica in placed
    }
    return tuple(drain for _, drain in sorted({**own, **asked}.items()))


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
        elif answer is None or answer.holds:
            says.append(release(state, revision.number, reservation.reservation_id, reason))
    return Change(state.model_copy(update={"orphans": tuple(orphans)}), tuple(says))


def release_orphans(state: Rollout, answers: Mapping[UUID, Answer]) -> Change | None:
    """Release the given-up reservations that were answered by now; None when there are none."""
    answered = [orphan for orphan in state.orphans if orphan.reservation_id in answers]
    if not answered:
        return None
    kept = tuple(orphan for orphan in state.orphans if orphan.reservation_id not in answers)
    says = tuple(
        release(state, orphan.revision, orphan.reservation_id, orphan.reason)
        for orphan in answered
        if answers[orphan.reservation_id].holds
    )
    return Change(state.model_copy(update={"orphans": kept}), says)


def release(state: Rollout, revision: int, reservation: UUID, reason: str, replicas: tuple[int, ...] = ()) -> Said:
    """The command that gives back these replicas of a reservation; none = all, which ends it."""
    return Said(
        revision,
        ReleaseCapacity(
            reservation_id=reservation,
            deployment_id=state.deployment_id,
            reason=reason[:2000],
            replicas=replicas,
        ),
    )
