"""API keys of a tenant: for operators and for the tenant's own admins."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, Field

from schemas.base import ContractModel
from schemas.text import Text
from services.ingest_api.domain.api_keys import ApiKey
from services.ingest_api.domain.identity import Scope
from services.ingest_api.domain.resources import KeyView
from services.ingest_api.entrypoints.http.callers import AnyCaller
from services.ingest_api.entrypoints.http.desk import desk_of
from services.ingest_api.entrypoints.http.pages import Listing, Paged, listing
from services.ingest_api.entrypoints.http.routers.tenants import check_own
from services.ingest_api.entrypoints.http.writes import Once, Reply
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import tenants

router = APIRouter(prefix="/tenants/{tenant_id}/keys", tags=["tenants"])


class NewKey(ContractModel):
    """An API key to create."""

    name: Annotated[str, Text(100, shortest=1)]
    """What people call it."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope))]
    """What it is good for: admin, deploy, usage, read."""
    expires_at: AwareDatetime | None = None
    """When it ends; null = when it is revoked."""


class CreatedKey(KeyView):
    """A new API key. Its token is shown this once; a repetition of the request shows it no more."""

    token: str | None
    """What callers send: `tw_live_<id>_<secret>`."""


def view_of(key: ApiKey) -> KeyView:
    """The key without its secret."""
    return KeyView(
        key_id=key.key_id,
        name=key.name,
        scopes=key.scopes,
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )


@router.post("", status_code=201, response_model=CreatedKey, summary="Create an API key")
async def create(tenant_id: UUID, body: NewKey, caller: AnyCaller, once: Once) -> Response:
    """The token is in the answer and nowhere else."""
    check_own(caller, tenant_id)
    key_id, secret = once.desk.ids().hex, once.desk.secrets()
    expires_at = None if body.expires_at is None else body.expires_at.astimezone(UTC)

    async def act(stores: Stores) -> Reply:
        key, token = await tenants.add_key(
            stores,
            caller,
            key_id=key_id,
            secret=secret,
            name=body.name,
            scopes=body.scopes,
            expires_at=expires_at,
        )
        fields = view_of(key).model_dump()
        location = f"/api/v1/tenants/{tenant_id}/keys/{key_id}"
        return Reply(201, CreatedKey(**fields, token=token), location, kept=CreatedKey(**fields, token=None))

    return await once.about(caller, tenant_id, act)


@router.get("", summary="List API keys")
async def list_keys(request: Request, tenant_id: UUID, page: Paged, caller: AnyCaller) -> Listing[KeyView]:
    """Without their secrets; revoked ones too."""
    check_own(caller, tenant_id)
    async with desk_of(request).stores_for(caller, tenant_id) as stores:
        await tenants.find(stores)
        items = [view_of(key) for key in await stores.keys.page(page)]
    return listing(request, page, items, lambda key: key.key_id)


@router.delete("/{key_id}", status_code=204, summary="Revoke an API key")
async def revoke(tenant_id: UUID, key_id: str, caller: AnyCaller, once: Once) -> Response:
    """It is worth nothing from now on."""
    check_own(caller, tenant_id)

    async def act(stores: Stores) -> Reply:
        await tenants.revoke_key(stores, caller, key_id)
        return Reply(204)

    return await once.about(caller, tenant_id, act)
