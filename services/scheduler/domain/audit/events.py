"""What a pool says about its decisions, as events of the contract."""

from __future__ import annotations

from datetime import datetime
from functools import singledispatch

from schemas.placement import (
    CapacityLost,
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    DecisionRecord,
    PlacementEvent,
    PreemptionRequested,
    PreemptionWithdrawn,
    RejectedPlace,
)
from services.scheduler.domain.deciding.explain import LONGEST
from services.scheduler.domain.decision import (
    Decided,
    Drain,
    DrainWithdrawn,
    Lost,
    Numbered,
    Placed,
    Queued,
    Rejected,
    Released,
)
from services.scheduler.domain.model import Cause, Request
from services.scheduler.domain.pool.snapshot import Snapshot


def event_of(outcome: Numbered, record: DecisionRecord) -> PlacementEvent:
    """The event that tells of the outcome, under its decision record."""
    if isinstance(outcome, Decided):
        return _of_decision(outcome.decision, outcome.request, record)
    return _of(outcome, record)


@singledispatch
def _of(outcome: object, record: DecisionRecord) -> PlacementEvent:
    raise TypeError(f"{type(outcome).__name__} is no outcome with a number")


@_of.register
def _(outcome: Released, record: DecisionRecord) -> PlacementEvent:
    return CapacityReleased(
        reservation_id=outcome.reservation_id,
        deployment_id=outcome.deployment_id,
        decision=record,
        gpu_milli=outcome.gpu_milli,
        reason=outcome.reason,
        replicas=outcome.replicas,
    )


@_of.register
def _(outcome: Lost, record: DecisionRecord) -> PlacementEvent:
    return CapacityLost(
        reservation_id=outcome.request.reservation_id,
        deployment_id=outcome.request.deployment_id,
        decision=record,
        replicas=outcome.replicas,
        gpu_milli=outcome.gpu_milli,
        reason=outcome.reason,
        detail=outcome.detail,
    )


@_of.register
def _(outcome: Drain, record: DecisionRecord) -> PlacementEvent:
    return PreemptionRequested(
        reservation_id=outcome.request.reservation_id,
        deployment_id=outcome.request.deployment_id,
        decision=record,
        replicas=outcome.replicas,
        gpu_milli=outcome.gpu_milli,
        reason=outcome.reason,
        claimant=outcome.claimant,
        detail=outcome.detail,
    )


@_of.register
def _(outcome: DrainWithdrawn, record: DecisionRecord) -> PlacementEvent:
    return PreemptionWithdrawn(
        reservation_id=outcome.request.reservation_id,
        deployment_id=outcome.request.deployment_id,
        decision=record,
        replicas=outcome.replicas,
        claimant=outcome.claimant,
        reason=outcome.reason,
    )


@singledispatch
def _of_decision(decision: object, request: Request, record: DecisionRecord) -> PlacementEvent:
    raise TypeError(f"{type(decision).__name__} is no decision")


@_of_decision.register
def _(decision: Placed, request: Request, record: DecisionRecord) -> PlacementEvent:
    every = decision.all_allocations
    replicas = len({allocation.replica for allocation in every})
    return CapacityReserved(
        reservation_id=request.reservation_id,
        deployment_id=request.deployment_id,
        decision=record,
        revision=request.revision,
        stage=request.stage,
        allocations=every,
        gpu_milli=replicas * request.resources.total_gpu_milli,
        explanation=decision.explanation,
        score=decision.score,
        alternatives=tuple(RejectedPlace(node=o.node, score=o.score, why=o.why) for o in decision.alternatives),
        credit_milli=decision.credit_milli,
    )


@_of_decision.register
def _(decision: Queued, request: Request, record: DecisionRecord) -> PlacementEvent:
    return CapacityQueued(
        reservation_id=request.reservation_id,
        deployment_id=request.deployment_id,
        decision=record,
        position=decision.position,
        reason=decision.reason,
        detail=decision.detail[:LONGEST],
        estimated_start=decision.estimated_start,
        revision=request.revision,
        stage=request.stage,
    )


@_of_decision.register
def _(decision: Rejected, request: Request, record: DecisionRecord) -> PlacementEvent:
    return CapacityRejected(
        reservation_id=request.reservation_id,
        deployment_id=request.deployment_id,
        decision=record,
        reason=decision.reason,
        detail=decision.detail[:LONGEST],
    )


def cause_of(outcome: Numbered) -> Cause:
    """The message behind it: the command that released, else the one that asked for what it is about."""
    return outcome.cause if isinstance(outcome, Released) else outcome.request.cause


def record_for(snapshot: Snapshot, outcome: Numbered, input_number: int, at: datetime) -> DecisionRecord:
    """Take the pool's next number for the outcome of that input, which was applied at that time."""
    snapshot.decided += 1
    cause = cause_of(outcome)
    return DecisionRecord(
        pool=snapshot.pool,
        number=snapshot.decided,
        policy=snapshot.policy.name,
        policy_version=snapshot.policy.version,
        decided_at=at,
        input_id=cause.input_id,
        input_position=cause.input_position,
        input_number=input_number,
    )
