"""What can be decided about a request, and what can happen to a pool."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, TypeGuard
from uuid import UUID

from schemas.capacity import CapacityAnswer
from schemas.placement import LossReason, PreemptionReason, QueueReason
from schemas.resources import Allocation
from services.scheduler.domain.model import Cause, Node, Request, Tenant


@dataclass(frozen=True, slots=True)
class Alternative:
    """A node that could have taken the first pod, and why it did not."""

    node: str
    score: int
    why: str


@dataclass(frozen=True, slots=True)
class Placed:
    """All replicas that were asked for, or were waited for, have their places."""

    allocations: tuple[Allocation, ...]
    """The new places, one a pod, by replica and worker."""
    score: int
    """Score of the first pod's node."""
    alternatives: tuple[Alternative, ...]
    """The best of the other nodes for the first pod."""
    explanation: str
    """Why these nodes, in words; at most 2000 characters."""
    held: tuple[Allocation, ...] = ()
    """All places of the reservation, when some were held before; empty = the new ones are all."""
    credit_milli: int = 0
    """Thousandths by which the tenant is over its limit now."""

    @property
    def all_allocations(self) -> tuple[Allocation, ...]:
        """All places of the reservation."""
        return self.held or self.allocations


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits."""

    position: int
    """Its place in the order in which requests are tried, from 1."""
    reason: QueueReason
    detail: str
    """The reason in words, with numbers."""
    estimated_start: datetime | None = None
    """When it starts, as far as ends are known, UTC."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The request is refused for good."""

    reason: QueueReason
    detail: str
    """The reason in words, with numbers and what to do."""


Decision: TypeAlias = Placed | Queued | Rejected


@dataclass(frozen=True, slots=True)
class Decided:
    """A request got its decision."""

    request: Request
    decision: Decision


@dataclass(frozen=True, slots=True)
class Released:
    """A release was carried out, even when there was nothing to give back."""

    reservation_id: UUID
    deployment_id: UUID
    tenant_id: UUID
    gpu_milli: int
    """Thousandths of a GPU given back; 0 when it held none."""
    reason: str
    cause: Cause
    """The command that released it."""
    replicas: tuple[int, ...] = ()
    """Replicas that were given back; empty = all: the reservation ended."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Devices under some replicas of a reservation are gone."""

    request: Request
    replicas: tuple[int, ...]
    """Their numbers, ascending; of a gang all of it."""
    gpu_milli: int
    """Thousandths of a GPU that they held."""
    reason: LossReason
    detail: str
    """The reason in words."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Replicas of a reservation are asked to drain."""

    request: Request
    """Of the reservation that is to drain."""
    replicas: tuple[int, ...]
    gpu_milli: int
    """Thousandths of a GPU that they hold."""
    reason: PreemptionReason
    claimant: UUID
    """Reservation that waits for the room."""
    detail: str
    """The reason in words."""


@dataclass(frozen=True, slots=True)
class DrainWithdrawn:
    """Replicas of a reservation may stay after all."""

    request: Request
    """Of the reservation that was to drain."""
    replicas: tuple[int, ...]
    claimant: UUID
    """Reservation that waited for the room."""
    reason: str
    """Why, in words."""


Numbered: TypeAlias = Decided | Released | Lost | Drain | DrainWithdrawn
"""What takes a number of the pool and becomes an event of the placement topic."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question about capacity was answered."""

    answer: CapacityAnswer
    cause: Cause
    """The question's message."""


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """A node has this capacity from now on."""

    node: Node
    rank: int
    """Order of its first observation, from 0."""


@dataclass(frozen=True, slots=True)
class TenantChanged:
    """A tenant may hold this from now on."""

    tenant: Tenant


def is_numbered(outcome: Outcome) -> TypeGuard[Numbered]:
    """Whether it takes a number of the pool."""
    return not isinstance(outcome, Answered | NodeChanged | TenantChanged)


Change: TypeAlias = NodeChanged | TenantChanged
"""What is stored and not said."""
Outcome: TypeAlias = Numbered | Answered | Change
"""All that can follow from an input."""
