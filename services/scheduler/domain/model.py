"""The values that decisions are made of and about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from schemas.base import EventData
from schemas.resources import Allocation, Resources
from schemas.tenant import DEFAULT_MAX_WAITING_REQUESTS, GpuQuota


@dataclass(frozen=True, slots=True)
class Cause:
    """The message behind a decision, for the audit."""

    input_id: str
    """CloudEvents id of the message; empty for the passing of time."""
    input_position: str
    """`topic/partition/offset` of its record; empty for the passing of time."""
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
    """Higher goes first among the tenant's."""
    arrival: int
    """Number of its input among those that the pool applied: earlier goes first within a priority."""
    asked_at: datetime
    """When that input was applied, UTC."""
    cause: Cause
    preemptible: bool = False
    """Whether its replicas may be drained for a request of higher priority."""
    is_surge: bool = False
    """Whether another revision of the deployment will end when it is in place."""
    is_elastic: bool = False
    """Whether it is beyond the deployment's minimum."""
    start_within: timedelta | None = None
    """How long it may wait."""
    expected: timedelta | None = None
    """How long it will be held; None = nobody knows."""

    @property
    def gpu_milli(self) -> int:
        """Thousandths of a GPU over all replicas."""
        return self.replicas * self.resources.total_gpu_milli

    @property
    def start_by(self) -> datetime | None:
        """When it is withdrawn if it waits still."""
        return None if self.start_within is None else self.asked_at + self.start_within


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set aside for a request: for all of its replicas, or for those that were not lost or given back."""

    request: Request
    allocations: tuple[Allocation, ...]
    """One a pod, by replica and worker."""
    since: datetime
    """When it was first set aside, UTC."""

    @property
    def replicas(self) -> tuple[int, ...]:
        """Numbers of the replicas that are held, ascending."""
        return tuple(sorted({allocation.replica for allocation in self.allocations}))

    @property
    def gpu_milli(self) -> int:
        """Thousandths of a GPU that are held."""
        return len(self.replicas) * self.request.resources.total_gpu_milli

    @property
    def ends_at(self) -> datetime | None:
        """When it is expected to be given back, UTC; None when nobody knows."""
        return None if self.request.expected is None else self.since + self.request.expected

    def part(self, replicas: tuple[int, ...]) -> Reservation:
        """What is held for these replicas."""
        return replace(self, allocations=tuple(each for each in self.allocations if each.replica in replicas))

    def without(self, replicas: tuple[int, ...]) -> Reservation:
        """What is held for the others."""
        return replace(self, allocations=tuple(each for each in self.allocations if each.replica not in replicas))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request in the queue, or the part of one that lost its place."""

    request: Request
    replicas: tuple[int, ...]
    """Numbers of the replicas that wait, ascending."""
    is_lost: bool = False
    """Whether they had a place and lost it: they go before all others of the tenant."""

    @property
    def reservation_id(self) -> UUID:
        """Identity of what waits."""
        return self.request.reservation_id

    @property
    def gpu_milli(self) -> int:
        """Thousandths of a GPU that are waited for."""
        return len(self.replicas) * self.request.resources.total_gpu_milli

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The order in which a tenant's requests are tried: lost ones, then priority, then arrival."""
        return not self.is_lost, -self.request.priority, self.request.arrival


@dataclass(frozen=True, slots=True)
class Victim:
    """Replicas that are asked to drain."""

    reservation_id: UUID
    replicas: tuple[int, ...]
    """Their numbers, ascending."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Places that are kept for a waiting request: until others have drained from them, or until a promised time."""

    reservation_id: UUID
    """The request that they are kept for."""
    resources: Resources
    """Its demand."""
    allocations: tuple[Allocation, ...]
    """The places, one a pod."""
    victims: tuple[Victim, ...] = ()
    """Who has to drain first; none for a promise."""
    promised_at: datetime | None = None
    """When it starts at the latest, as far as the ends of what runs are kept, UTC; None while others drain."""


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
    weight: int = 1
    """Share of what is nobody's guarantee, relative to the other tenants'."""
    quotas: tuple[GpuQuota, ...] = ()
    """Guarantees and limits by GPU model."""
    max_waiting: int = DEFAULT_MAX_WAITING_REQUESTS
    """Reservations that may wait in the pool at a time."""
