"""The values that decisions are made of and about."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from schemas.base import EventData
from schemas.resources import Allocation, Resources


@dataclass(frozen=True, slots=True)
class Cause:
    """The message behind a decision, for the audit."""

    input_id: str
    """CloudEvents id of the message."""
    input_position: str
    """`topic/partition/offset` of its record."""
    origin: str = ""
    """Envelope attributes that what follows from it inherits; opaque here."""


@dataclass(frozen=True, slots=True)
class Input:
    """One message about a pool, as it was recorded."""

    data: EventData
    """What was said."""
    tenant_id: UUID
    """Tenant that it is about; the platform's for nodes."""
    cause: Cause
    """Where it came from."""


@dataclass(frozen=True, slots=True)
class Request:
    """GPUs that a stage of a deployment asks for: all replicas or none."""

    reservation_id: UUID
    deployment_id: UUID
    tenant_id: UUID
    revision: int
    """Revision of the deployment, from 1."""
    stage: int
    """Stage of the rollout, from 0."""
    replicas: int
    """Replicas to place, at least 1."""
    resources: Resources
    """Demand of one replica."""
    pool: str
    """Pool that was asked for."""
    priority: int
    """Higher goes first."""
    arrival: int
    """Number of its input among those that the pool applied: earlier goes first within a priority."""
    cause: Cause

    @property
    def gpu_milli(self) -> int:
        """Thousandths of a GPU over all replicas."""
        return self.replicas * self.resources.total_gpu_milli


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set aside for a request."""

    request: Request
    allocations: tuple[Allocation, ...]
    """One a replica, in the replicas' order."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node and its allocatable capacity."""

    name: str
    cpu_milli: int
    """Thousandths of a CPU core."""
    memory_mib: int
    """Memory in MiB."""
    gpu_count: int
    """GPU devices."""
    gpu_model: str
    """Model of the devices; empty without GPU."""
    is_present: bool = True
    """False after it was removed: it takes nothing new, and what was reserved on it is lost."""
    is_cordoned: bool = False
    """Whether it takes nothing new; what is reserved on it stays."""
    failed_devices: tuple[int, ...] = ()
    """Indexes of broken devices, ascending."""
    zone: str = ""
    """Where it stands."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a tenant may hold."""

    tenant_id: UUID
    max_gpu_milli: int | None
    """Thousandths of a GPU reserved at one time; None while the plan is not known."""
    is_suspended: bool = False
    """Whether it may start nothing new."""
