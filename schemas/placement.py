"""Placement: what the deployer asks of the scheduler, and what the scheduler decided. Key: the deployment."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from schemas.base import ContractModel, EventData, Milli, Name, Reason, Timestamp, Word
from schemas.resources import Allocation, Resources
from schemas.text import Text


class QueueReason(StrEnum):
    """Why a request waits or was refused, most specific first."""

    TOO_LARGE_FOR_POOL = "TooLargeForPool"
    MODEL_UNAVAILABLE = "ModelUnavailable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    TENANT_SUSPENDED = "TenantSuspended"
    FRAGMENTED = "Fragmented"
    NO_FREE_CAPACITY = "NoFreeCapacity"


class DecisionRecord(ContractModel):
    """What an audit needs to run a decision again."""

    pool: Name
    """Pool that was decided for."""
    number: Annotated[int, Field(ge=1)]
    """Number of the decision within the pool, gap-free."""
    policy: Word
    """Name of the policy."""
    policy_version: Word
    """Version of the policy's code and constants."""
    decided_at: Timestamp
    """The time that the decision was given."""
    input_id: Annotated[str, Text(256)]
    """Id of the event or command that asked."""
    input_position: Annotated[str, Text(300)]
    """Where that record stands in the log: `topic/partition/offset`."""


class PlacementMessage(EventData):
    """Base of commands and events about one reservation."""

    reservation_id: UUID
    """The reservation it is about."""
    deployment_id: UUID
    """The deployment that holds it."""

    @property
    def key(self) -> str:
        """The deployment id."""
        return str(self.deployment_id)


class PlacementCommand(PlacementMessage):
    """Base of what the deployer asks."""

    topic: ClassVar[str] = "taxiway.placement.commands.v1"


class ReserveCapacity(PlacementCommand):
    """Set GPUs aside for one stage; all replicas or none. The reservation id makes it idempotent."""

    type: ClassVar[str] = "taxiway.placement.reserve.v1"

    revision: Annotated[int, Field(ge=1)]
    """Revision of the deployment."""
    stage: Annotated[int, Field(ge=0)]
    """Stage of the rollout, from 0."""
    replicas: Annotated[int, Field(ge=1)]
    """Replicas to place."""
    resources: Resources
    """Demand of one replica."""
    pool: Name
    """Pool of nodes."""
    priority: Annotated[int, Field(ge=0, le=1000)] = 100
    """Higher goes first in the queue."""


class ReleaseCapacity(PlacementCommand):
    """The pods are gone: give back what the reservation holds. Unknown or released already: nothing happens."""

    type: ClassVar[str] = "taxiway.placement.release.v1"

    reason: Reason
    """Why it is given back."""


class PlacementEvent(PlacementMessage):
    """Base of what the scheduler decided."""

    topic: ClassVar[str] = "taxiway.placement.events.v1"

    decision: DecisionRecord
    """What an audit needs."""


class CapacityReserved(PlacementEvent):
    """GPUs are set aside."""

    type: ClassVar[str] = "taxiway.placement.reserved.v1"

    revision: Annotated[int, Field(ge=1)]
    """Revision of the deployment."""
    stage: Annotated[int, Field(ge=0)]
    """Stage of the rollout."""
    allocations: tuple[Allocation, ...]
    """Where each replica goes."""
    gpu_milli: Milli
    """Thousandths of a GPU over all replicas."""
    explanation: Reason = ""
    """Why these nodes, in words."""


class CapacityQueued(PlacementEvent):
    """The request waits."""

    type: ClassVar[str] = "taxiway.placement.queued.v1"

    position: Annotated[int, Field(ge=1)]
    """Place in the pool's queue when it was queued, from 1."""
    reason: QueueReason
    """Why it waits."""
    detail: Reason
    """The same in words, with numbers."""


class CapacityRejected(PlacementEvent):
    """The request can never be placed, or is over a limit of the tenant."""

    type: ClassVar[str] = "taxiway.placement.rejected.v1"

    reason: QueueReason
    """Why."""
    detail: Reason
    """The same in words, with numbers and what to do."""


class CapacityReleased(PlacementEvent):
    """What the reservation held is free again."""

    type: ClassVar[str] = "taxiway.placement.released.v1"

    gpu_milli: Milli
    """Thousandths of a GPU given back; 0 when it never held any."""
    reason: Reason
    """Why it was given back."""
