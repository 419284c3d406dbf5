"""What a revision lacks, in words, and what makes a rollout wait or end because of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from services.deployer.domain.capacity import replicas_at
from services.deployer.domain.model import Phase, Rollout
from services.deployer.domain.observation import Answer, AnswerKind, ClusterView
from services.deployer.domain.revision import Reservation, Revision
from services.deployer.domain.transition import Change, Limits, enter

UNANSWERED = "waits for the scheduler's answer"
NOBODY_READY = "no replica of the new version is ready any more"


def why_waiting(revision: Revision, answers: Mapping[UUID, Answer]) -> str:
    """Why replicas have no place, in the words of the last reservation that has too few; empty when all have one."""
    waiting = ""
    for reservation in revision.reservations:
        if reservation.missing:
            answer = answers.get(reservation.reservation_id)
            waiting = answer.reason if answer else UNANSWERED
    return waiting


def why_short(revision: Revision, answers: Mapping[UUID, Answer]) -> str:
    """Who drains and who waits for a place, with numbers and why; empty when nobody does."""
    parts = []
    if revision.draining:
        reasons = dict.fromkeys(drain.reason for drain in revision.draining)
        parts.append(f"{len(revision.draining)} replicas drain ({'; '.join(reasons)})")
    if revision.missing_replicas:
        waiting = why_waiting(revision, answers)
        parts.append(f"{revision.missing_replicas} of {revision.asked_replicas} replicas have no place ({waiting})")
    return ", ".join(parts)[:2000]


def why_refused(reservation: Reservation, answer: Answer | None) -> str:
    """Why replicas of the reservation get no place, not even later; empty when all have one, or may get one."""
    if answer is None or not (reservation.missing or answer.kind is AnswerKind.RELEASED):
        return ""
    if answer.kind is AnswerKind.RESERVED:  # it tells every place: who is not named was refused before
        return f"capacity was reserved without replicas {sorted(reservation.missing)}"
    return f"capacity was {answer.kind}: {answer.reason}" if answer.is_final else ""


def reason_to_end(
    state: Rollout, canary: Revision, answers: Mapping[UUID, Answer], cluster: ClusterView, limits: Limits
) -> str | None:
    """Why the canary cannot go on for want of places or pods; None when it can."""
    for reservation in canary.reservations:
        if refused := why_refused(reservation, answers.get(reservation.reservation_id)):
            return refused
    if canary.draining:
        return f"preempted: {canary.draining[0].reason}"
    is_setback = state.weight > 0 and not cluster.serving(canary) and canary.is_reserved
    return NOBODY_READY if is_setback and state.setbacks >= limits.max_setbacks else None


def set_back(
    state: Rollout, canary: Revision, answers: Mapping[UUID, Answer], cluster: ClusterView, now: datetime
) -> Change | None:
    """The stage begins anew, from its pods on, when the canary cannot carry what it has; None when it can.

    Without a ready replica its traffic goes back to stable meanwhile. Deadlines do not run during a pause.
    """
    since = state.pause.since if state.pause else now
    lost = why_waiting(canary, answers)
    serving = cluster.serving(canary)
    if state.weight > 0 and not serving:
        changes = {"weight": 0, "setbacks": state.setbacks + (not lost), "reason": lost or NOBODY_READY}
        if state.phase is Phase.RESERVING:
            return Change(state.model_copy(update=changes))
        return Change(enter(state, Phase.SURGING, since, **changes))
    needed = replicas_at(state.weights[state.stage], canary.spec.replicas)
    if state.phase in (Phase.SHIFTING, Phase.OBSERVING) and lost and serving < needed:
        return Change(enter(state, Phase.SURGING, since, reason=lost))
    return None
