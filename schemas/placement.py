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
    """Why a request waits or was refused. Where several hold, the first of this order is told."""

    MODEL_UNAVAILABLE = "ModelUnavailable"
    """No node has a GPU of a model, or with a MIG profile, that will do."""
    TOO_LARGE_FOR_POOL = "TooLargeForPool"
    """It would not fit if the whole pool were empty."""
    DEADLINE_PASSED = "DeadlinePassed"
    """It was to start by a time that has passed."""
    TENANT_SUSPENDED = "TenantSuspended"
    """Its tenant may start nothing new."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """Its tenant would hold more, or let more requests wait, than its plan allows."""
    BORROWING_LIMIT = "BorrowingLimit"
    """Its tenant would borrow more of others' guarantees than it may."""
    WAITING_FOR_PREEMPTION = "WaitingForPreemption"
    """Others are being drained to make room for it."""
    RESERVED_FOR_OTHER = "ReservedForOther"
    """It would fit, but on what is promised, lent or being drained for another."""
    FRAGMENTED = "Fragmented"
    """Enough is free in sum, but not on single nodes."""
    NO_FREE_CAPACITY = "NoFreeCapacity"
    """Too little is free."""


class LossReason(StrEnum):
    """Why GPUs under a reservation are gone."""

    NODE_REMOVED = "NodeRemoved"
    """The cluster does not list the node any more."""
    DEVICE_FAILED = "DeviceFailed"
    """The device is broken."""
    NODE_SHRUNK = "NodeShrunk"
    """The node lists fewer devices than were reserved on it."""


class PreemptionReason(StrEnum):
    """Why a reservation is asked to drain."""

    PRIORITY = "Priority"
    """A request of higher priority needs the room."""
    RECLAIM = "Reclaim"
    """The tenant that lent its guarantee needs it."""
    SHRINK = "Shrink"
    """Replicas beyond an elastic minimum make room first."""


class RejectedPlace(ContractModel):
    """A node that was not chosen, and why."""

    node: Word
    """Its name."""
    score: int
    """Its score."""
    why: Reason
    """Why it was not chosen."""


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
    input_number: Annotated[int, Field(ge=1)] | None = None
    """Number of that input among all that the pool applied; what it had applied before is what it knew."""


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
    """Higher goes first in the tenant's queue, and may have others' preemptible replicas drained."""
    preemptible: bool = False
    """Whether its replicas may be drained for a request of higher priority."""
    is_surge: bool = False
    """Whether it is a rollout's surge beside a revision that it will replace: it may go over the tenant's limit by as
    much as that revision holds, until the rollout ends."""
    is_elastic: bool = False
    """Whether it is beyond the deployment's minimum: the first to be drained when anything needs room."""
    start_within_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """How long it may wait before it is withdrawn; None = for ever."""
    expected_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """How long it will be held, for estimates of others' start; None = nobody knows."""


class ReleaseCapacity(PlacementCommand):
    """The pods are gone: give back what the reservation holds. Unknown or released already: nothing happens."""

    type: ClassVar[str] = "taxiway.placement.release.v1"

    reason: Reason
    """Why it is given back."""
    replicas: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=1000)] = ()
    """Replicas of the reservation that are given back; empty = all, which ends it."""


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
    credit_milli: Milli = 0
    """Thousandths by which the tenant is over its limit now, for the length of a rollout."""
    score: int | None = None
    """Score of the first replica's node; None when it is not told."""
    alternatives: Annotated[tuple[RejectedPlace, ...], Field(max_length=100)] = ()
    """The best of the other nodes for the first replica."""


class CapacityQueued(PlacementEvent):
    """The request waits."""

    type: ClassVar[str] = "taxiway.placement.queued.v1"

    position: Annotated[int, Field(ge=1)]
    """Place in the pool's queue when it was queued, from 1."""
    reason: QueueReason
    """Why it waits."""
    detail: Reason
    """The same in words, with numbers."""
    estimated_start: Timestamp | None = None
    """When it will start, as far as the ends of what runs are known; None when they are not."""
    revision: Annotated[int, Field(ge=1)] | None = None
    """Revision of the deployment; None when it is not told."""
    stage: Annotated[int, Field(ge=0)] | None = None
    """Stage of the rollout; None when it is not told."""


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
    replicas: tuple[int, ...] = ()
    """Replicas that were given back; empty = all: the reservation ended."""


class CapacityLost(PlacementEvent):
    """Devices under some replicas are gone. They are placed again, at once or from the head of the queue."""

    type: ClassVar[str] = "taxiway.placement.lost.v1"

    replicas: tuple[int, ...]
    """Replicas of the reservation that lost their place, whole gangs."""
    gpu_milli: Milli
    """Thousandths of a GPU that they held."""
    reason: LossReason
    """Why."""
    detail: Reason
    """The same in words: which node, which device."""


class PreemptionRequested(PlacementEvent):
    """Replicas are asked to drain: move their traffic, end their pods, release them. Nothing is taken before that."""

    type: ClassVar[str] = "taxiway.placement.preemption-requested.v1"

    replicas: tuple[int, ...]
    """Replicas of the reservation that are to go."""
    gpu_milli: Milli
    """Thousandths of a GPU that they hold."""
    reason: PreemptionReason
    """Why."""
    claimant: UUID
    """The reservation that waits for the room."""
    detail: Reason
    """The same in words."""


class PreemptionWithdrawn(PlacementEvent):
    """The room is not needed any more: what has not drained yet may stay."""

    type: ClassVar[str] = "taxiway.placement.preemption-withdrawn.v1"

    replicas: tuple[int, ...]
    """Replicas of the reservation that may stay."""
    claimant: UUID
    """The reservation that waited for the room."""
    reason: Reason
    """Why."""
