"""Message handlers: they only record, in the log of the pool that the message is about. Any copy may run them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from schemas.base import EventData
from schemas.capacity import AskDefragmentation, AskWhatIf, CapacityQuestion
from schemas.deployment import DeploymentRequested
from schemas.envelope import Event
from schemas.node import NodeEvent, NodeObserved, NodeRemoved
from schemas.placement import ReleaseCapacity, ReserveCapacity
from schemas.tenant import PLATFORM_TENANT, PlanChanged, TenantCreated, TenantEvent, TenantResumed, TenantSuspended
from services.kit.errors import PermanentError
from services.kit.messaging.dispatch import HandlerTable, position_of
from services.kit.messaging.origin import Origin
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.model import Cause, Input
from services.scheduler.ports import InputLog


@dataclass(frozen=True, slots=True)
class Intake:
    """What the handlers record into."""

    inputs: InputLog
    pools: tuple[str, ...]
    """Pools that have an owner; the first one answers for what belongs to none."""
    wake: Callable[[str], None]
    """Wakes the owner of a pool, if it is in this process."""

    async def record(self, pools: Iterable[str], event: Event[Any], tenant_id: UUID, work: UnitOfWork) -> None:
        """Append the event to the logs of `pools`, and wake their owners when that is committed."""
        cause = Cause(event.id, position_of(event), Origin.of(event).to_json())
        for pool in pools:
            await self.inputs.append(work, pool, Input(event.data, tenant_id, cause))
            work.after_commit(partial(self.wake, pool))


async def ask_for_first_stage(event: Event[DeploymentRequested], work: UnitOfWork, intake: Intake) -> None:
    """An admitted deployment asks for the GPUs of its first stage."""
    await _ask(event, event.data.spec.pool, work, intake)


async def reserve_capacity(event: Event[ReserveCapacity], work: UnitOfWork, intake: Intake) -> None:
    """The deployer asks for the GPUs of a later stage."""
    await _ask(event, event.data.pool, work, intake)


async def release_capacity(event: Event[ReleaseCapacity], work: UnitOfWork, intake: Intake) -> None:
    """The deployer gives a reservation back; of several pools it goes to that where it was asked for."""
    tenant_id = tenant_of(event)
    pool = None
    if len(intake.pools) > 1:
        pool = await intake.inputs.pool_of(work, tenant_id, event.data.reservation_id)
    await intake.record([pool or intake.pools[0]], event, tenant_id, work)


async def change_node(event: Event[NodeEvent], work: UnitOfWork, intake: Intake) -> None:
    """A node was observed or is gone. All pools are told: the one that it left must let go of it."""
    await intake.record(intake.pools, event, PLATFORM_TENANT, work)


async def change_tenant(event: Event[TenantEvent], work: UnitOfWork, intake: Intake) -> None:
    """A tenant's plan or standing changed; all pools are told."""
    await intake.record(intake.pools, event, event.data.tenant_id, work)


async def ask_about_capacity(event: Event[CapacityQuestion], work: UnitOfWork, intake: Intake) -> None:
    """Somebody asks what would be. An operator asks for no tenant."""
    pool = event.data.pool if event.data.pool in intake.pools else intake.pools[0]
    tenant_id = tenant_of(event) if event.tenantid else PLATFORM_TENANT
    await intake.record([pool], event, tenant_id, work)


async def _ask(event: Event[Any], pool: str, work: UnitOfWork, intake: Intake) -> None:
    owner = pool if pool in intake.pools else intake.pools[0]
    await intake.record([owner], event, tenant_of(event), work)


def tenant_of(event: Event[Any]) -> UUID:
    """The tenant that the envelope names; raises `PermanentError` when it names none."""
    try:
        return UUID(event.tenantid or "")
    except ValueError:
        raise PermanentError(f"ce_tenantid of {event.type} must be the tenant's UUID") from None


def handler_table(intake: Intake) -> HandlerTable:
    """Which handler takes which message."""
    handlers: dict[type[EventData], Callable[..., Awaitable[None]]] = {
        DeploymentRequested: ask_for_first_stage,
        ReserveCapacity: reserve_capacity,
        ReleaseCapacity: release_capacity,
        NodeObserved: change_node,
        NodeRemoved: change_node,
        TenantCreated: change_tenant,
        PlanChanged: change_tenant,
        TenantSuspended: change_tenant,
        TenantResumed: change_tenant,
        AskWhatIf: ask_about_capacity,
        AskDefragmentation: ask_about_capacity,
    }
    return {kind: partial(handler, intake=intake) for kind, handler in handlers.items()}
