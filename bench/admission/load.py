"""The load of Kueue's performance test: five cohorts of six queues, each with small, medium and large jobs.

Numbers from `test/performance/scheduler/configs/baseline/generator.yaml` of kubernetes-sigs/kueue: each queue has a
nominal quota of 20 units and may borrow 100; what it lent comes back whoever has it, and a job may have those of lower
priority of its queue preempted. A cohort is a pool here, a queue a tenant, a unit a GPU, a job a gang with one GPU a
worker, and a millisecond a second, because lengths are whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid5

from schemas.base import EventData
from schemas.node import NodeObserved
from schemas.placement import ReleaseCapacity, ReserveCapacity
from schemas.resources import WHOLE_GPU_MILLI, Resources
from schemas.tenant import PLATFORM_TENANT, GpuQuota, Plan, TenantCreated

COHORTS = 5
QUEUES = 6
NOMINAL = 20
BORROWING = 100
GPUS_A_NODE = 8


@dataclass(frozen=True, slots=True)
class JobClass:
    """Jobs that are alike."""

    name: str
    count: int
    """Jobs a queue."""
    every: int
    """Milliseconds between the creation of two of a queue."""
    units: int
    runtime: int
    """Milliseconds."""
    priority: int

    @property
    def resources(self) -> Resources:
        """Demand of a job: all its workers or none."""
        return Resources(gpu_count=1, gpu_milli=WHOLE_GPU_MILLI, cpu_milli=100, memory_mib=100, workers=self.units)


CLASSES = (
    JobClass("small", 350, 100, 1, 200, 50),
    JobClass("medium", 100, 500, 5, 500, 100),
    JobClass("large", 50, 1200, 20, 1000, 200),
)


@dataclass(slots=True)
class Job:
    """One job on its way."""

    kind: JobClass
    tenant_id: UUID
    number: int
    """Number among all of the cohort."""
    created: int
    """Millisecond at which it is asked for."""
    attempt: int = 0
    """How often it was preempted before."""
    admitted: int | None = None
    """Millisecond at which it was first admitted."""
    finished: int | None = None
    """Millisecond at which it ended."""

    @property
    def reservation_id(self) -> UUID:
        """Identity of what it asks for, another at each attempt."""
        return uuid5(self.tenant_id, f"{self.number}/{self.attempt}")

    def asks(self) -> ReserveCapacity:
        """It asks for its GPUs."""
        return ReserveCapacity(
            reservation_id=self.reservation_id,
            deployment_id=uuid5(self.tenant_id, str(self.number)),
            revision=1,
            stage=0,
            replicas=1,
            resources=self.kind.resources,
            pool="cohort",
            priority=self.kind.priority,
            preemptible=True,
            expected_seconds=self.kind.runtime,
        )

    def gives_back(self, reason: str) -> ReleaseCapacity:
        """It gives its GPUs back."""
        asked = self.asks()
        return ReleaseCapacity(reservation_id=asked.reservation_id, deployment_id=asked.deployment_id, reason=reason)


def tenants(cohort: int) -> list[UUID]:
    """The queues of a cohort."""
    return [uuid5(PLATFORM_TENANT, f"cohort {cohort} queue {queue}") for queue in range(QUEUES)]


def jobs(cohort: int) -> list[Job]:
    """The jobs of a cohort in order of their creation."""
    found = [
        Job(kind, tenant_id, 0, number * kind.every)
        for tenant_id in tenants(cohort)
        for kind in CLASSES
        for number in range(kind.count)
    ]
    found.sort(key=lambda job: job.created)
    for number, job in enumerate(found):
        job.number = number
    return found


def ground(cohort: int) -> Iterator[tuple[EventData, UUID]]:
    """What a cohort is before the first job: its queues, and nodes that hold the sum of their quotas."""
    quota = GpuQuota(guaranteed_milli=NOMINAL * WHOLE_GPU_MILLI, borrowing_limit_milli=BORROWING * WHOLE_GPU_MILLI)
    plan = Plan(name="queue", max_concurrent_gpu_milli=10**9, gpu_quotas=(quota,))
    for number, tenant_id in enumerate(tenants(cohort)):
        yield TenantCreated(tenant_id=tenant_id, name=f"queue-{number}", plan=plan), tenant_id
    for number in range(QUEUES * NOMINAL // GPUS_A_NODE):
        node = NodeObserved(
            node=f"node-{number}",
            pool="cohort",
            cpu_milli=64_000,
            memory_mib=262_144,
            gpu_count=GPUS_A_NODE,
            gpu_model="A100",
        )
        yield node, PLATFORM_TENANT
