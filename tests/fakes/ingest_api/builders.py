"""Values that tests start from."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

from schemas.base import EventData
from schemas.capacity import CapacityHint, QueueEntry, QueueReported
from schemas.deployment import DeploymentRequested, DeploymentSpec
from schemas.envelope import Event, Position
from schemas.node import NodeObserved
from schemas.placement import (
    CapacityLost,
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    DecisionRecord,
    LossReason,
    PreemptionReason,
    PreemptionRequested,
    PreemptionWithdrawn,
    QueueReason,
)
from schemas.resources import Allocation, Resources
from schemas.tenant import Plan
from services.ingest_api.domain.resources import Model, ModelVersion, Tenant

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TENANT = UUID(int=1)
DEPLOYMENT = UUID(int=2)
FIRST, SECOND = UUID(int=11), UUID(int=12)
"""Reservations of the first stages of revisions 1 and 2."""
CLAIMANT = UUID(int=99)
"""A reservation of somebody else that waits for room."""
HALF_GPU = Resources(gpu_count=1, gpu_milli=500, cpu_milli=4000, memory_mib=8192)
DECISION = DecisionRecord(
    pool="default",
    number=17,
    policy="packing",
    policy_version="1",
    decided_at=NOW,
    input_id="ask-1",
    input_position="taxiway.deployment.events.v1/0/4",
)

_offsets = count()


def spec(**changes: Any) -> DeploymentSpec:
    """A deployment of four half GPUs."""
    fields: dict[str, Any] = {
        "name": "chat",
        "model": "llama",
        "version": "1.0",
        "replicas": 4,
        "resources": HALF_GPU,
    }
    return DeploymentSpec(**fields | changes)


def tenant(**changes: Any) -> Tenant:
    """A tenant in good standing."""
    fields = {"tenant_id": TENANT, "name": "acme", "plan": Plan(name="team"), "created_at": NOW}
    return Tenant(**fields | changes)


def model(**changes: Any) -> Model:
    """A registered model."""
    return Model(**{"name": "llama", "description": "", "created_at": NOW} | changes)


def version(**changes: Any) -> ModelVersion:
    """A registered version of it."""
    fields = {"model": "llama", "version": "1.0", "artifact": "", "size_mib": 0, "created_at": NOW}
    return ModelVersion(**fields | changes)


def requested(revision: int = 1, reservation_id: UUID = FIRST, **changes: Any) -> DeploymentRequested:
    """An admitted revision."""
    return DeploymentRequested(
        deployment_id=DEPLOYMENT,
        revision=revision,
        spec=spec(**changes),
        reservation_id=reservation_id,
        first_stage_replicas=4,
    )


def reserved(reservation_id: UUID = FIRST, **changes: Any) -> CapacityReserved:
    """Two halves on one device, one on another node."""
    fields: dict[str, Any] = {
        "reservation_id": reservation_id,
        "deployment_id": DEPLOYMENT,
        "decision": DECISION,
        "revision": 1,
        "stage": 0,
        "allocations": (
            Allocation(replica=0, node="node-1", devices=(0,), gpu_milli=500),
            Allocation(replica=1, node="node-1", devices=(0,), gpu_milli=500),
            Allocation(replica=2, node="node-2", devices=(3,), gpu_milli=500),
        ),
        "gpu_milli": 1500,
        "explanation": "the tightest devices that fit",
    }
    return CapacityReserved(**fields | changes)


def queued(reservation_id: UUID = FIRST) -> CapacityQueued:
    """It waits."""
    return CapacityQueued(
        reservation_id=reservation_id,
        deployment_id=DEPLOYMENT,
        decision=DECISION,
        position=3,
        reason=QueueReason.NO_FREE_CAPACITY,
        detail="2 GPUs are asked for and 1.5 are free",
    )


def capacity_rejected(reservation_id: UUID = FIRST) -> CapacityRejected:
    """It can never be placed."""
    return CapacityRejected(
        reservation_id=reservation_id,
        deployment_id=DEPLOYMENT,
        decision=DECISION,
        reason=QueueReason.TOO_LARGE_FOR_POOL,
        detail="no node of the pool has 8 GPUs",
    )


def released(reservation_id: UUID = FIRST, replicas: tuple[int, ...] = (), **changes: Any) -> CapacityReleased:
    """All of it, or some replicas, are given back."""
    fields: dict[str, Any] = {"gpu_milli": 1500, "reason": "gone"}
    return CapacityReleased(**_about(reservation_id) | fields | changes, replicas=replicas)


def lost(replicas: tuple[int, ...], reservation_id: UUID = FIRST, **changes: Any) -> CapacityLost:
    """A node went away under some replicas."""
    fields: dict[str, Any] = {
        "gpu_milli": 500 * len(replicas),
        "reason": LossReason.NODE_REMOVED,
        "detail": "node-1 is gone",
    }
    return CapacityLost(**_about(reservation_id) | fields | changes, replicas=replicas)


def preempted(replicas: tuple[int, ...], reservation_id: UUID = FIRST, **changes: Any) -> PreemptionRequested:
    """Some replicas are to make room."""
    fields: dict[str, Any] = {
        "gpu_milli": 500 * len(replicas),
        "reason": PreemptionReason.PRIORITY,
        "claimant": CLAIMANT,
        "detail": "8 GPUs are needed at priority 500",
    }
    return PreemptionRequested(**_about(reservation_id) | fields | changes, replicas=replicas)


def withdrawn(replicas: tuple[int, ...], reservation_id: UUID = FIRST, **changes: Any) -> PreemptionWithdrawn:
    """They may stay."""
    fields: dict[str, Any] = {"claimant": CLAIMANT, "reason": "it was deleted"}
    return PreemptionWithdrawn(**_about(reservation_id) | fields | changes, replicas=replicas)


def _about(reservation_id: UUID) -> dict[str, Any]:
    return {"reservation_id": reservation_id, "deployment_id": DEPLOYMENT, "decision": DECISION}


def observed(node: str = "node-1", pool: str = "default", **changes: Any) -> NodeObserved:
    """A node with two GPUs."""
    fields: dict[str, Any] = {"gpu_model": "A100", "gpu_count": 2, "cpu_milli": 1000, "memory_mib": 1000}
    return NodeObserved(node=node, pool=pool, **fields | changes)


def waits(position: int, tenant_id: UUID = TENANT, **changes: Any) -> QueueEntry:
    """A request in a queue."""
    fields: dict[str, Any] = {
        "reservation_id": UUID(int=1000 + position),
        "deployment_id": DEPLOYMENT,
        "reason": QueueReason.NO_FREE_CAPACITY,
        "detail": "1.5 GPUs are free",
        "replicas": 2,
        "gpu_milli": 1000,
        "priority": 100,
        "waiting_since": NOW,
    }
    return QueueEntry(position=position, tenant_id=tenant_id, **fields | changes)


def reported(*entries: QueueEntry, pool: str = "default", **changes: Any) -> QueueReported:
    """A pool's queue, and what would help its head."""
    hint = CapacityHint(
        reservation_id=UUID(int=1001),
        nodes=2,
        gpu_model="A100",
        gpu_count=8,
        cpu_milli=96_000,
        memory_mib=786_432,
        detail="two nodes with 8 A100 each",
    )
    fields: dict[str, Any] = {"at": NOW, "as_of_decision": 17, "length": len(entries), "hints": (hint,)}
    return QueueReported(pool=pool, entries=entries, **fields | changes)


def event(data: EventData, actor: str = "user:ann") -> Event[Any]:
    """As if it had been read from its topic."""
    offset = next(_offsets)
    position = Position(data.topic, 0, offset, NOW)
    return Event(f"event-{offset}", "/taxiway/test", NOW, data, str(TENANT), actor, position=position)
