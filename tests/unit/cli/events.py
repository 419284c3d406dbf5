"""A deployment's life as it stands in the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from schemas.base import EventData
from schemas.deployment import DeploymentRequested, DeploymentSpec
from schemas.envelope import Event, Headers, encode
from schemas.placement import CapacityReserved, DecisionRecord
from schemas.resources import Allocation, Resources
from schemas.rollout import PauseRollout, RolloutStarted
from services.kit.messaging.record import Record
from services.kit.messaging.replay import Replayed, read

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
DEPLOYMENT = UUID(int=2)
RESERVATION = UUID(int=11)
RESOURCES = Resources(gpu_count=1, gpu_milli=500, cpu_milli=4000, memory_mib=8192)

REQUESTED = DeploymentRequested(
    deployment_id=DEPLOYMENT,
    revision=1,
    spec=DeploymentSpec(name="chat", model="llama", version="1.0", replicas=1, resources=RESOURCES),
    reservation_id=RESERVATION,
    first_stage_replicas=1,
)
RESERVED = CapacityReserved(
    reservation_id=RESERVATION,
    deployment_id=DEPLOYMENT,
    decision=DecisionRecord(
        pool="default",
        number=17,
        policy="packing",
        policy_version="1",
        decided_at=NOON,
        input_id="e1",
        input_position="taxiway.deployment.events.v1/0/0",
    ),
    revision=1,
    stage=0,
    allocations=(Allocation(replica=0, node="node-1", devices=(0,), gpu_milli=500),),
    gpu_milli=500,
    explanation="the tightest devices that fit",
)
STARTED = RolloutStarted(deployment_id=DEPLOYMENT, revision=1, version="1.0", weights=(100,))
PAUSED = PauseRollout(deployment_id=DEPLOYMENT, reason="look first")


def event(event_id: str, data: EventData, cause: str | None = None, actor: str = "user:ann") -> Event[Any]:
    """An event that says what caused it."""
    return Event(event_id, "/taxiway/test", NOON, data, str(UUID(int=1)), actor, causationid=cause)


def logged(what: Event[Any], after_ms: int, offset: int = 0, partition: int = 0) -> Replayed:
    """The event as it is read back, appended so many ms after noon."""
    value, headers = encode(what)
    return raw(what.data.topic, value, headers, after_ms, offset, partition)


def raw(
    topic: str, value: bytes, headers: Headers | Sequence[Any], after_ms: int, offset: int = 0, partition: int = 0
) -> Replayed:
    """Any record as it is read back."""
    key = str(DEPLOYMENT).encode()
    return read(Record(topic, partition, offset, key, value, list(headers), NOON_MS + after_ms))
