"""Who waits in a pool: position, reason, estimated start; and what to add so that the head starts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.capacity import MOST_ENTRIES, CapacityHint, QueueEntry, QueueReported
from schemas.placement import QueueReason
from services.scheduler.domain.deciding.reasons import Why, why
from services.scheduler.domain.model import Waiting
from services.scheduler.domain.pool.limits import Refusal, may_start
from services.scheduler.domain.pool.queue import Alike, alike
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.questions.hints import hints_for
from services.scheduler.domain.waiting.forecast import forecast
from services.scheduler.domain.waiting.turns import in_order

LONGEST = 300
"""Characters of a detail: a report of a long queue is one event."""
ESTIMATED = 20
"""Requests whose start is estimated: each costs a look ahead over all known ends."""


def report(snapshot: Snapshot) -> QueueReported:
    """The queue as it stands."""
    order = in_order(snapshot, MOST_ENTRIES)
    starts = _starts(snapshot, order[:ESTIMATED])
    reasons: dict[tuple[UUID, Alike, bool], Why] = {}
    entries = []
    for position, waiting in enumerate(order, 1):
        line = (waiting.request.tenant_id, alike(waiting), waiting.reservation_id in snapshot.claims)
        if line not in reasons:
            reasons[line] = why(snapshot, waiting)
        entries.append(_entry(waiting, position, reasons[line], starts.get(waiting.reservation_id)))
    return QueueReported(
        pool=snapshot.pool,
        at=snapshot.now,
        as_of_decision=snapshot.decided,
        length=len(snapshot.queue),
        entries=tuple(entries),
        hints=_hints(snapshot, order, entries),
    )


SHORT = (QueueReason.RESERVED_FOR_OTHER, QueueReason.FRAGMENTED, QueueReason.NO_FREE_CAPACITY)
"""Reasons that more nodes would end."""
UNFORESEEN = 5
"""Requests for which no known end makes room, after which no more starts are estimated."""


def _hints(snapshot: Snapshot, order: list[Waiting], entries: list[QueueEntry]) -> tuple[CapacityHint, ...]:
    """For the first that more nodes would let start."""
    short = (each for each, entry in zip(order, entries, strict=True) if entry.reason in SHORT)
    head = next((each for each in short if not isinstance(may_start(snapshot, each), Refusal)), None)
    return hints_for(snapshot, head) if head else ()


def _starts(snapshot: Snapshot, order: list[Waiting]) -> dict[UUID, datetime]:
    """Estimated starts, of those whose tenants may have more and that known ends make room for."""
    if not snapshot.timed:
        return {}
    found: dict[UUID, datetime] = {}
    unforeseen = 0
    with forecast(snapshot) as ahead:
        for waiting in order:
            allowed = may_start(snapshot, waiting)
            if isinstance(allowed, Refusal):
                continue
            start = ahead.start(waiting, allowed)
            if start is not None:
                found[waiting.reservation_id] = start.at
                continue
            unforeseen += 1  # it waits for what nobody knows; what comes after it may not
            if unforeseen == UNFORESEEN:
                break
    return found


def _entry(waiting: Waiting, position: int, reason: Why, start: datetime | None) -> QueueEntry:
    request = waiting.request
    return QueueEntry(
        reservation_id=request.reservation_id,
        deployment_id=request.deployment_id,
        tenant_id=request.tenant_id,
        position=position,
        reason=reason[0],
        detail=reason[1][:LONGEST],
        estimated_start=start,
        replicas=len(waiting.replicas),
        gpu_milli=waiting.gpu_milli,
        priority=request.priority,
        waiting_since=request.asked_at,
    )
