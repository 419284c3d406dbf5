"""Short ways to say what is given: nodes, tenants, requests, as inputs of a pool or as events with an envelope."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from schemas.base import EventData
from schemas.capacity import AskDefragmentation, AskWhatIf, CapacityDemand, TimePassed
from schemas.deployment import DeploymentRequested, DeploymentSpec
from schemas.envelope import Event, Position
from schemas.node import NodeObserved, NodeRemoved
from schemas.placement import ReleaseCapacity, ReserveCapacity
from schemas.resources import Resources
from schemas.tenant import (
    DEFAULT_MAX_WAITING_REQUESTS,
    PLATFORM_TENANT,
    GpuQuota,
    Plan,
    PlanChanged,
    TenantCreated,
    TenantResumed,
    TenantSuspended,
)
from services.kit.messaging.origin import Origin
from services.scheduler.domain.model import Cause, Input

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEAM = UUID("01900000-0000-7000-8000-00000000000a")
OTHER_TEAM = UUID("01900000-0000-7000-8000-00000000000b")
_numbers = count(1)


def identity(name: str) -> UUID:
    """The same id for the same name, in every test."""
    return uuid5(PLATFORM_TENANT, name)


def gpus(count: int = 1, milli: int = 1000, *models: str, cpu: int = 1000, memory: int = 1024) -> Resources:
    """The demand of one replica: so many devices, so much of each."""
    return Resources(gpu_count=count, gpu_milli=milli, gpu_models=models, cpu_milli=cpu, memory_mib=memory)


def cpu_only(cpu: int = 1000, memory: int = 1024) -> Resources:
    """The demand of a replica without GPU."""
    return Resources(gpu_count=0, gpu_milli=0, cpu_milli=cpu, memory_mib=memory)


def node(
    name: str,
    gpu: int = 8,
    model: str = "A100",
    cpu: int = 64_000,
    memory: int = 262_144,
    pool: str = "default",
    failed: tuple[int, ...] = (),
    cordoned: bool = False,
    zone: str = "",
) -> NodeObserved:
    """A node was observed."""
    return NodeObserved(
        node=name,
        pool=pool,
        cpu_milli=cpu,
        memory_mib=memory,
        gpu_count=gpu,
        gpu_model=model if gpu else "",
        failed_devices=failed,
        is_cordoned=cordoned,
        zone=zone,
    )


def node_removed(name: str) -> NodeRemoved:
    """A node is gone."""
    return NodeRemoved(node=name, reason="drained")


def tenant(tenant_id: UUID = TEAM, limit: int = 1_000_000, **more: Any) -> TenantCreated:
    """A tenant exists, with this limit in milli-GPU; `more` is for `plan`."""
    return TenantCreated(tenant_id=tenant_id, name="team", plan=plan(limit, **more))


def plan(
    limit: int,
    *,
    weight: int = 1,
    quotas: tuple[GpuQuota, ...] = (),
    waiting: int = DEFAULT_MAX_WAITING_REQUESTS,
) -> Plan:
    """A plan with this limit in milli-GPU, and so many requests that may wait."""
    return Plan(
        name="plan", max_concurrent_gpu_milli=limit, weight=weight, gpu_quotas=quotas, max_waiting_requests=waiting
    )


def quota(guaranteed: int, borrow: int | None = None, lend: int | None = None, model: str = "") -> GpuQuota:
    """A share of the GPUs of a model (all when empty), in milli-GPU."""
    return GpuQuota(
        gpu_model=model, guaranteed_milli=guaranteed, borrowing_limit_milli=borrow, lending_limit_milli=lend
    )


def plan_changed(limit: int, tenant_id: UUID = TEAM, **more: Any) -> PlanChanged:
    """A tenant's limit is now this; `more` is for `plan`."""
    return PlanChanged(tenant_id=tenant_id, plan=plan(limit, **more))


def suspended(tenant_id: UUID = TEAM) -> TenantSuspended:
    """A tenant may start nothing new."""
    return TenantSuspended(tenant_id=tenant_id, reason="unpaid")


def resumed(tenant_id: UUID = TEAM) -> TenantResumed:
    """A suspension ended."""
    return TenantResumed(tenant_id=tenant_id, reason="paid")


def mig(profile: str, *models: str, cpu: int = 1000, memory: int = 1024) -> Resources:
    """The demand of a replica on a slice."""
    return Resources.model_validate(
        {"mig_profile": profile, "gpu_models": models, "cpu_milli": cpu, "memory_mib": memory}
    )


def reserve(
    name: str,
    resources: Resources | None = None,
    *,
    replicas: int = 1,
    priority: int = 100,
    pool: str = "default",
    **more: Any,
) -> ReserveCapacity:
    """GPUs are asked for under a reservation of this name; `more` are further fields, such as `preemptible`."""
    return ReserveCapacity(
        **{
            "reservation_id": identity(name),
            "deployment_id": identity(f"deployment of {name}"),
            "revision": 1,
            "stage": 1,
            "replicas": replicas,
            "resources": resources or gpus(),
            "pool": pool,
            "priority": priority,
        }
        | more
    )


def release(name: str, *replicas: int) -> ReleaseCapacity:
    """The reservation of this name is given back, or these replicas of it."""
    return ReleaseCapacity(
        reservation_id=identity(name),
        deployment_id=identity(f"deployment of {name}"),
        reason="pods are gone",
        replicas=replicas,
    )


def time_passed(pool: str = "default") -> TimePassed:
    """A moment came that somebody waited for."""
    return TimePassed(pool=pool)


def demand(resources: Resources | None = None, **more: Any) -> CapacityDemand:
    """A request that nobody has made."""
    return CapacityDemand(**{"resources": resources or gpus()} | more)


def ask_what_if(resources: Resources | None = None, **more: Any) -> AskWhatIf:
    """Would it fit?"""
    return AskWhatIf(pool="default", question_id=identity("question"), demand=demand(resources, **more))


def ask_defragmentation(resources: Resources | None = None, **more: Any) -> AskDefragmentation:
    """What would have to move for it?"""
    return AskDefragmentation(pool="default", question_id=identity("question"), demand=demand(resources, **more))


def requested(name: str, resources: Resources | None = None, *, first: int = 1, pool: str = "default") -> EventData:
    """A deployment was admitted; its first stage needs so many replicas."""
    spec = DeploymentSpec(
        name="chat", model="llama", version="v1", replicas=10, resources=resources or gpus(), pool=pool, priority=7
    )
    return DeploymentRequested(
        deployment_id=identity(f"deployment of {name}"),
        revision=3,
        spec=spec,
        reservation_id=identity(name),
        first_stage_replicas=first,
    )


def from_a_newer_release() -> EventData:
    """Something that a release will record which this one does not know, after which it was rolled back."""

    class MigrateCapacity(ReleaseCapacity):
        pass

    MigrateCapacity.type = "taxiway.placement.migrate.v1"
    return MigrateCapacity.model_validate(release("moved").model_dump())


def with_a_new_meaning() -> EventData:
    """A known type whose data this release cannot read."""

    class ReserveCapacitySomewhere(ReserveCapacity):
        pool: Any = "default"

    ReserveCapacitySomewhere.type = ReserveCapacity.type
    return ReserveCapacitySomewhere.model_validate(reserve("somewhere").model_dump() | {"pool": ["a", "b"]})


def entry(data: EventData, tenant_id: UUID = TEAM) -> Input:
    """The data as a recorded input, of a message that is numbered by its content alone."""
    is_platform = isinstance(data, NodeObserved | NodeRemoved | TimePassed)
    owner = getattr(data, "tenant_id", PLATFORM_TENANT if is_platform else tenant_id)
    input_id = str(identity(data.type + data.model_dump_json()))
    origin = Origin(owner, "user:ann", f"request of {input_id}", input_id).to_json()
    return Input(data, owner, Cause(input_id, f"{data.topic}/0/1", origin))


def event(data: EventData, tenant_id: UUID | None = TEAM, **attributes: Any) -> Event[Any]:
    """The data as an event that was read from Kafka, each under a new id."""
    number = next(_numbers)
    given: dict[str, Any] = {
        "id": f"event-{number}",
        "source": "/taxiway/test",
        "time": NOW,
        "tenantid": str(tenant_id) if tenant_id else None,
        "actor": "user:ann",
        "position": Position(data.topic, 0, number, NOW),
    }
    return Event(data=data, **given | attributes)
