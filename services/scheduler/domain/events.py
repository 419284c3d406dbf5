"""What a pool says about its decisions, as events of the contract."""

from __future__ import annotations

from schemas.placement import (
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    DecisionRecord,
    PlacementEvent,
)
from services.scheduler.domain.decision import Decided, Numbered, Placed, Queued, Released
from services.scheduler.domain.explain import LONGEST


def event_of(outcome: Numbered, record: DecisionRecord) -> PlacementEvent:
    """The event that tells of the outcome, under its decision record."""
    if isinstance(outcome, Released):
        return CapacityReleased(
            reservation_id=outcome.reservation_id,
            deployment_id=outcome.deployment_id,
            decision=record,
            gpu_milli=outcome.gpu_milli,
            reason=outcome.reason,
        )
    return _event_of_decision(outcome, record)


def _event_of_decision(decided: Decided, record: DecisionRecord) -> PlacementEvent:
    request, decision = decided.request, decided.decision
    if isinstance(decision, Placed):
        return CapacityReserved(
            reservation_id=request.reservation_id,
            deployment_id=request.deployment_id,
            decision=record,
            revision=request.revision,
            stage=request.stage,
            allocations=decision.allocations,
            gpu_milli=request.gpu_milli,
            explanation=decision.explanation,
        )
    if isinstance(decision, Queued):
        return CapacityQueued(
            reservation_id=request.reservation_id,
            deployment_id=request.deployment_id,
            decision=record,
            position=decision.position,
            reason=decision.reason,
            detail=decision.detail[:LONGEST],
        )
    return CapacityRejected(
        reservation_id=request.reservation_id,
        deployment_id=request.deployment_id,
        decision=record,
        reason=decision.reason,
        detail=decision.detail[:LONGEST],
    )
