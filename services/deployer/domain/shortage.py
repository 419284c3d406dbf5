"""What a revision lacks, in words, and what makes a rollout wait or end because of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from services.deployer.domain.capacity import replicas_at
from services.deployer.domain.model import Phase, Rollout
from services.deployer.domain.observation import Answer, ClusterView
from services.deployer.domain.revision import Revision
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


def reason_to_end(
    state: Rollout, canary: Revision, answers: Mapping[UUID, Answer], cluster: ClusterView, limits: Limits
) -> str | None:
    """Why the canary cannot go on for want of places or pods; None when it can."""
    for reservation in canary.reservations:
        answer = answers.get(reservation.reservation_id)
        if answer and answer.is_final:
            return f"capacity was {answer.kind}: {answer.reason}"
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
