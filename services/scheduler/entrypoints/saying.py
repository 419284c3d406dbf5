"""What a pool's owner says: events with a number, answers, the order of inputs, the state of the queue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from loguru import logger

from schemas.capacity import AppliedInput, InputsApplied, QueueReported
from schemas.envelope import Event
from schemas.placement import DecisionRecord
from services.kit.messaging.origin import Origin
from services.kit.observability import metrics, tracing
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.audit.events import cause_of, event_of, record_for
from services.scheduler.domain.decision import (
    Answered,
    Decided,
    NodeChanged,
    Numbered,
    Released,
    TenantChanged,
    is_numbered,
)
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.entrypoints.steps import Step
from services.scheduler.ports import Applied, Recorded

ACTOR = "service:scheduler"
"""Who decides, whoever asked: that stands in the cause."""
MOST_INPUTS = 1000
"""Inputs that one event lists: it stays far below what the log takes."""
PLATFORM = Origin(None, ACTOR)
"""Of what is about a pool and no tenant."""


class Speaker:
    """Speaks for one pool."""

    def __init__(self, pool: str, policy: str, policy_version: str) -> None:
        self._pool = pool
        self._policy = policy
        self._policy_version = policy_version

    def tell(self, work: UnitOfWork, snapshot: Snapshot, steps: Sequence[Step]) -> list[Applied]:
        """Emit all that followed from the steps, and in which order their inputs were applied."""
        applied = [self._tell(work, snapshot, step) for step in steps]
        for first in range(0, len(steps), MOST_INPUTS):
            inputs = tuple(_applied_input(step) for step in steps[first : first + MOST_INPUTS])
            order = InputsApplied(
                pool=self._pool, inputs=inputs, policy=self._policy, policy_version=self._policy_version
            )
            work.emit(order, PLATFORM)
        return applied

    def report(self, work: UnitOfWork, snapshot: Snapshot, queue: QueueReported) -> None:
        """Emit the state of the queue, which is that after all that was told."""
        work.emit(queue.model_copy(update={"as_of_decision": snapshot.decided}), PLATFORM)

    def _tell(self, work: UnitOfWork, snapshot: Snapshot, step: Step) -> Applied:
        for outcome in step.outcomes:
            if isinstance(outcome, Answered):
                work.emit(outcome.answer, Origin.from_json(outcome.cause.origin).by(ACTOR))
        return Applied(
            id=step.item_id,
            tenant_id=step.entry.tenant_id,
            number=step.number,
            at=step.at,
            changes=tuple(each for each in step.outcomes if isinstance(each, NodeChanged | TenantChanged)),
            recorded=tuple(
                self._say(work, snapshot, outcome, step) for outcome in step.outcomes if is_numbered(outcome)
            ),
        )

    def _say(self, work: UnitOfWork, snapshot: Snapshot, outcome: Numbered, step: Step) -> Recorded:
        """Number the outcome and emit its event, on behalf of what asked for it."""
        record = record_for(snapshot, outcome, step.number, step.at)
        event = work.emit(event_of(outcome, record), Origin.from_json(cause_of(outcome).origin).by(ACTOR))
        work.after_commit(partial(_count, record, outcome, event))
        return Recorded(outcome, record)


def outcome_name(outcome: Numbered) -> str:
    """`placed`, `queued`, `rejected`, `released`, `lost`, `drain` or `drain_withdrawn`."""
    kind = type(outcome.decision if isinstance(outcome, Decided) else outcome).__name__
    return {"DrainWithdrawn": "drain_withdrawn"}.get(kind, kind.lower())


def _applied_input(step: Step) -> AppliedInput:
    cause = step.entry.cause
    return AppliedInput(number=step.number, input_id=cause.input_id, input_position=cause.input_position, at=step.at)


def _count(record: DecisionRecord, outcome: Numbered, event: Event[Any]) -> None:
    """Count what was committed. What became of a request is logged, in the trace of what asked for it; that something
    was given back is on the topic, where it comes as often as placements."""
    name = outcome_name(outcome)
    metrics.DECISIONS.labels(record.pool, name).inc()
    if isinstance(outcome, Released):
        return
    request = outcome.request
    about = {"tenant": request.tenant_id, "deployment": request.deployment_id, "correlation_id": event.correlationid}
    with tracing.following(event.traceparent):
        logger.bind(**about).info(
            "pool {} decision {}: {} reservation {}", record.pool, record.number, name, request.reservation_id
        )
