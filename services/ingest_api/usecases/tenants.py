"""Tenants and their API keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.base import Name
from schemas.tenant import Plan, PlanChanged, TenantCreated, TenantResumed, TenantSuspended
from services.ingest_api.domain.api_keys import ApiKey, hash_of, token
from services.ingest_api.domain.identity import Scope
from services.ingest_api.domain.problems import Problem, invalid, not_found
from services.ingest_api.domain.resources import Tenant
from services.ingest_api.ports import Stores
from services.ingest_api.usecases.caller import Caller


async def create(stores: Stores, caller: Caller, tenant_id: UUID, name: Name, plan: Plan) -> Tenant:
    """A new tenant; raises `Problem` when the name is taken."""
    await stores.act_for(tenant_id)
    tenant = Tenant(tenant_id=tenant_id, name=name, plan=plan, created_at=caller.now)
    if not await stores.tenants.add(tenant):
        raise Problem("conflict", f"A tenant named {name} exists: choose another name.")
    stores.emit(TenantCreated(tenant_id=tenant_id, name=name, plan=plan), caller.origin(tenant_id))
    return tenant


async def find(stores: Stores, *, lock: bool = False) -> Tenant:
    """The tenant that the transaction speaks for; raises `Problem`."""
    tenant = await stores.tenants.find(lock=lock)
    if tenant is None:
        raise not_found("tenant")
    return tenant


async def change_plan(stores: Stores, caller: Caller, plan: Plan) -> Tenant:
    """Another plan from now on; nothing is said when it is the same."""
    tenant = await find(stores, lock=True)
    if tenant.plan == plan:
        return tenant
    changed = tenant.model_copy(update={"plan": plan})
    await stores.tenants.save(changed)
    stores.emit(PlanChanged(tenant_id=tenant.tenant_id, plan=plan), caller.origin(tenant.tenant_id))
    return changed


async def suspend(stores: Stores, caller: Caller, reason: str) -> Tenant:
    """The tenant may start nothing new; nothing is said when it is suspended already."""
    tenant = await find(stores, lock=True)
    if tenant.suspended_reason is not None:
        return tenant
    changed = tenant.model_copy(update={"suspended_reason": reason})
    await stores.tenants.save(changed)
    stores.emit(TenantSuspended(tenant_id=tenant.tenant_id, reason=reason), caller.origin(tenant.tenant_id))
    return changed


async def resume(stores: Stores, caller: Caller, reason: str) -> Tenant:
    """The suspension ends; nothing is said when there is none."""
    tenant = await find(stores, lock=True)
    if tenant.suspended_reason is None:
        return tenant
    changed = tenant.model_copy(update={"suspended_reason": None})
    await stores.tenants.save(changed)
    stores.emit(TenantResumed(tenant_id=tenant.tenant_id, reason=reason), caller.origin(tenant.tenant_id))
    return changed


async def add_key(
    stores: Stores,
    caller: Caller,
    *,
    key_id: str,
    secret: str,
    name: str,
    scopes: tuple[Scope, ...],
    expires_at: datetime | None,
) -> tuple[ApiKey, str]:
    """A new API key, and its token, which nobody sees again; raises `Problem`."""
    tenant = await find(stores)
    if Scope.OPERATOR in scopes:
        raise invalid("/scopes", "an API key is a tenant's: it cannot have the scope operator")
    if expires_at is not None and expires_at <= caller.now:
        raise invalid("/expires_at", "expires_at must lie in the future")
    key = ApiKey(
        tenant_id=tenant.tenant_id,
        key_id=key_id,
        name=name,
        scopes=scopes,
        secret_hash=hash_of(secret),
        created_at=caller.now,
        created_by=caller.principal.actor,
        expires_at=expires_at,
    )
    await stores.keys.add(key)
    return key, token(key_id, secret)


async def revoke_key(stores: Stores, caller: Caller, key_id: str) -> None:
    """The key is worth nothing from now on; raises `Problem` when the tenant has none of that id."""
    if not await stores.keys.revoke(key_id, caller.now):
        raise not_found("API key")
