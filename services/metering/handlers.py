"""What metering does when a tenant changes: it notes keys and limits."""

from __future__ import annotations

from functools import partial
from typing import Any

from schemas.envelope import Event
from schemas.tenant import PlanChanged, ProducerKeyRegistered, ProducerKeyRevoked, TenantCreated
from services.kit.messaging.dispatch import HandlerTable
from services.kit.persistence.unit_of_work import UnitOfWork
from services.metering.domain.model import Plan, Producer
from services.metering.ports import TenantBook


async def register_key(event: Event[ProducerKeyRegistered], work: UnitOfWork, book: TenantBook) -> None:
    """Records signed with the key are believed."""
    key = event.data
    await book.register(work, Producer(key.key_id, key.tenant_id, key.public_key, key.scope))


async def revoke_key(event: Event[ProducerKeyRevoked], work: UnitOfWork, book: TenantBook) -> None:
    """Records signed with the key are no longer believed, whenever they were signed."""
    await book.revoke(work, event.data.key_id)


async def set_plan(event: Event[TenantCreated | PlanChanged], work: UnitOfWork, book: TenantBook) -> None:
    """The tenant's usage is measured by the plan's limits."""
    await book.set_plan(work, Plan(event.data.tenant_id, event.data.plan.limits))


def tenant_handlers(book: TenantBook) -> HandlerTable:
    """What is done about which tenant event."""
    handlers: dict[Any, Any] = {
        ProducerKeyRegistered: register_key,
        ProducerKeyRevoked: revoke_key,
        TenantCreated: set_plan,
        PlanChanged: set_plan,
    }
    return {event_type: partial(handler, book=book) for event_type, handler in handlers.items()}
