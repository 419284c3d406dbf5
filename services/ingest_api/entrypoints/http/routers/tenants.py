"""Tenants: for operators, who create, plan and suspend them."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from schemas.base import ContractModel, GivenReason, Name
from schemas.tenant import Plan
from services.ingest_api.domain.identity import Scope
from services.ingest_api.domain.problems import not_found
from services.ingest_api.domain.resources import Tenant
from services.ingest_api.entrypoints.http.callers import AnyCaller, Operator
from services.ingest_api.entrypoints.http.desk import desk_of
from services.ingest_api.entrypoints.http.pages import Listing, Paged, listing
from services.ingest_api.entrypoints.http.writes import Once, Reply
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import tenants
from services.ingest_api.usecases.caller import Caller, require

router = APIRouter(prefix="/tenants", tags=["tenants"])


class NewTenant(ContractModel):
    """A tenant to create."""

    name: Name
    """Unique on the platform."""
    plan: Plan
    """What it may use."""


class WithReason(ContractModel):
    """Why."""

    reason: GivenReason
    """In words, for the audit."""


def check_own(caller: Caller, tenant_id: UUID) -> None:
    """Raise `Problem` unless the caller is an operator or an admin of the tenant; others see no such tenant."""
    if caller.principal.is_operator:
        return
    if caller.principal.tenant_id != tenant_id:
        raise not_found("tenant")
    require(caller, Scope.ADMIN)


@router.post("", status_code=201, response_model=Tenant, summary="Create a tenant")
async def create(body: NewTenant, caller: Operator, once: Once) -> Response:
    """A team that may deploy models within its plan."""
    tenant_id = once.desk.ids()

    async def act(stores: Stores) -> Reply:
        tenant = await tenants.create(stores, caller, tenant_id, body.name, body.plan)
        return Reply(201, tenant, f"/api/v1/tenants/{tenant_id}")

    return await once.for_operator(None, act)


@router.get("", summary="List tenants")
async def list_tenants(request: Request, page: Paged, _: Operator) -> Listing[Tenant]:
    """By name."""
    async with desk_of(request).transactions.platform(None) as stores:
        items = await stores.tenants.page(page)
    return listing(request, page, items, lambda tenant: tenant.name)


@router.get("/{tenant_id}", summary="Show a tenant")
async def show(request: Request, tenant_id: UUID, caller: AnyCaller) -> Tenant:
    """For operators, and for the tenant's own callers."""
    if not caller.principal.is_operator and caller.principal.tenant_id != tenant_id:
        raise not_found("tenant")
    async with desk_of(request).stores_for(caller, tenant_id) as stores:
        return await tenants.find(stores)


@router.put("/{tenant_id}/quota", response_model=Tenant, summary="Change the plan")
async def change_plan(tenant_id: UUID, plan: Plan, caller: Operator, once: Once) -> Response:
    """What the tenant may use from now on."""

    async def act(stores: Stores) -> Reply:
        return Reply(200, await tenants.change_plan(stores, caller, plan))

    return await once.for_operator(tenant_id, act)


@router.post("/{tenant_id}/suspend", response_model=Tenant, summary="Suspend a tenant")
async def suspend(tenant_id: UUID, body: WithReason, caller: Operator, once: Once) -> Response:
    """It may start nothing new; what runs goes on."""

    async def act(stores: Stores) -> Reply:
        return Reply(200, await tenants.suspend(stores, caller, body.reason))

    return await once.for_operator(tenant_id, act)


@router.post("/{tenant_id}/resume", response_model=Tenant, summary="End a suspension")
async def resume(tenant_id: UUID, body: WithReason, caller: Operator, once: Once) -> Response:
    """It may start new work again."""

    async def act(stores: Stores) -> Reply:
        return Reply(200, await tenants.resume(stores, caller, body.reason))

    return await once.for_operator(tenant_id, act)
