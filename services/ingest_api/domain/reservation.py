"""What REST shows of one reservation: a fold over its placement events. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas import placement as p
from schemas.base import ContractModel, EventData
from schemas.envelope import Event
from schemas.phrases import because, gpus, moment, numbered, places
from schemas.resources import Allocation
from services.ingest_api.domain.affected import Affected, joined, without
from services.ingest_api.domain.view import Waiting


class Reservation(ContractModel):
    """GPUs that a stage of a deployment holds, or waits for."""

    reservation_id: UUID
    pool: str = ""
    """Pool of nodes; empty when it was decided by a release that did not keep it."""
    revision: int | None = None
    """Revision of the deployment; None when it waits and nobody said."""
    stage: int | None = None
    gpu_milli: int = 0
    """Thousandths of a GPU that it holds now, over all replicas."""
    credit_milli: int = 0
    """Thousandths by which the tenant was over its limit when it was reserved, for the length of a rollout."""
    allocations: tuple[Allocation, ...] = ()
    explanation: str = ""
    """Why there, in words."""
    score: int | None = None
    """Score of the first replica's node, by the policy of the decision."""
    alternatives: tuple[p.RejectedPlace, ...] = ()
    """The best of the nodes that the first replica did not go to, and why not."""
    decision: p.DecisionRecord | None = None
    """The last decision about it: policy, version, number, time, and the input that it answered."""
    waiting: Waiting | None = None
    """Why it, or what it lost, waits; None when it does not."""
    lost: tuple[Affected, ...] = ()
    """Replicas whose GPUs went away and that have no others yet."""
    draining: tuple[Affected, ...] = ()
    """Replicas that are asked to make room."""
    reserved_at: datetime | None = None
    """When it first held something."""


def words_of(held: Reservation) -> str:
    """All of the reservation as sentences."""
    which = "" if held.stage is None else f"Stage {held.stage} of revision {held.revision}: "
    return which + " ".join(_sentences(held))


def _sentences(held: Reservation) -> list[str]:
    said = []
    if held.allocations:
        said.append(f"{gpus(held.gpu_milli)}, {places(held.allocations)}{because(held.explanation)}")
    if held.alternatives:
        best = held.alternatives[0]
        said.append(f"Next best was {best.node} (score {best.score}){because(best.why)}")
    if held.waiting is not None:
        said.append(waiting_words(held.waiting))
    said += [f"The GPUs of {_told(each, ' went away')}" for each in held.lost]
    said += [f"Asked to drain: {_told(each)}" for each in held.draining]
    if held.decision is not None:
        made = held.decision
        said.append(
            f"Decision {made.number} of pool {made.pool} by policy {made.policy} {made.policy_version} at"
            f" {moment(made.decided_at)}."
        )
    return said


def waiting_words(waiting: Waiting) -> str:
    """Why something waits, and until when."""
    start = f" It should start about {moment(waiting.estimated_start)}." if waiting.estimated_start else ""
    return f"It waits at position {waiting.position} ({waiting.reason}){because(waiting.detail)}{start}"


def _told(each: Affected, verb: str = "") -> str:
    return f"{numbered(each.replicas)}{verb} ({each.reason}){because(each.detail)}"


def fold_reservation(held: Reservation | None, event: Event[Any]) -> Reservation | None:
    """The reservation after a placement event; None when there is none any more.

    Events of one deployment come in order. The same event once more changes nothing.
    """
    data = event.data
    known = held or Reservation(reservation_id=data.reservation_id)
    folded = _STEPS[type(data)](known, data)
    if isinstance(data, p.CapacityReserved) and folded is not None and folded.reserved_at is None:
        return folded.model_copy(update={"reserved_at": event.time})
    return None if held is None and not isinstance(data, p.CapacityReserved | p.CapacityQueued) else folded


def _reserved(held: Reservation, data: p.CapacityReserved) -> Reservation:
    """Also of replicas that are placed again: what is said of the reservation replaces what was said before."""
    placed = {allocation.replica for allocation in data.allocations}
    return Reservation(
        reservation_id=data.reservation_id,
        pool=data.decision.pool,
        revision=data.revision,
        stage=data.stage,
        gpu_milli=data.gpu_milli,
        credit_milli=data.credit_milli,
        allocations=data.allocations,
        explanation=data.explanation,
        score=data.score,
        alternatives=data.alternatives,
        decision=data.decision,
        lost=without(held.lost, data.reservation_id, placed),
        draining=held.draining,
        reserved_at=held.reserved_at,
    )


def _queued(held: Reservation, data: p.CapacityQueued) -> Reservation:
    return held.model_copy(
        update={
            "pool": data.decision.pool,
            "revision": data.revision if data.revision is not None else held.revision,
            "stage": data.stage if data.stage is not None else held.stage,
            "decision": data.decision,
            "waiting": Waiting.of(data),
        }
    )


def _rejected(held: Reservation, _: p.CapacityRejected) -> Reservation | None:
    """What it holds already stays; the refusal itself is the deployment's."""
    return held.model_copy(update={"waiting": None}) if held.allocations else None


def _released(held: Reservation, data: p.CapacityReleased) -> Reservation | None:
    if not data.replicas:
        return None
    left = _without_places(held, data.replicas)
    return left.model_copy(update={"lost": without(held.lost, held.reservation_id, data.replicas)})


def _lost(held: Reservation, data: p.CapacityLost) -> Reservation:
    return _without_places(held, data.replicas).model_copy(update={"lost": joined(held.lost, affected(data))})


def _without_places(held: Reservation, replicas: Collection[int]) -> Reservation:
    kept = tuple(allocation for allocation in held.allocations if allocation.replica not in replicas)
    return held.model_copy(
        update={
            "allocations": kept,
            "gpu_milli": sum(allocation.gpu_milli * len(allocation.devices) for allocation in kept),
            "draining": without(held.draining, held.reservation_id, replicas),
        }
    )


def _preempted(held: Reservation, data: p.PreemptionRequested) -> Reservation:
    return held.model_copy(update={"draining": joined(held.draining, affected(data))})


def _withdrawn(held: Reservation, data: p.PreemptionWithdrawn) -> Reservation:
    return held.model_copy(update={"draining": without(held.draining, held.reservation_id, data.replicas)})


def affected(data: p.CapacityLost | p.PreemptionRequested) -> Affected:
    """Whom it is about, and why."""
    return Affected(reservation_id=data.reservation_id, replicas=data.replicas, reason=data.reason, detail=data.detail)


_STEPS: Mapping[type[EventData], Callable[[Reservation, Any], Reservation | None]] = {
    p.CapacityReserved: _reserved,
    p.CapacityQueued: _queued,
    p.CapacityRejected: _rejected,
    p.CapacityReleased: _released,
    p.CapacityLost: _lost,
    p.PreemptionRequested: _preempted,
    p.PreemptionWithdrawn: _withdrawn,
}
