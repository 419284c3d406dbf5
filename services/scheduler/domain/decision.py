"""What can be decided about a request, and what can happen to a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from schemas.placement import QueueReason
from schemas.resources import Allocation
from services.scheduler.domain.model import Cause, Node, Request, Tenant


@dataclass(frozen=True, slots=True)
class Alternative:
    """A node that could have taken the first replica, and why it did not."""

    node: str
    score: int
    why: str


@dataclass(frozen=True, slots=True)
class Placed:
    """All replicas have their places."""

    allocations: tuple[Allocation, ...]
    """One a replica, in the replicas' order."""
    score: int
    """Score of the first replica's node."""
    alternatives: tuple[Alternative, ...]
    """The best of the other nodes for the first replica."""
    explanation: str
    """Why these nodes, in words; at most 2000 characters."""


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits."""

    position: int
    """Its place in the pool's queue, from 1."""
    reason: QueueReason
    detail: str
    """The reason in words, with numbers."""


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


Numbered: TypeAlias = Decided | Released
"""What takes a number of the pool and becomes an event."""


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


Outcome: TypeAlias = Decided | Released | NodeChanged | TenantChanged
