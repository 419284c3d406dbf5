"""Public keys of Kafka producers, whose signed records are believed: for a tenant, or for all of them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from schemas.base import MAX_KEY_ID, ContractModel, Reason
from schemas.tenant import ProducerScope
from services.ingest_api.domain.resources import Producer
from services.ingest_api.entrypoints.http.callers import AnyCaller
from services.ingest_api.entrypoints.http.desk import desk_of
from services.ingest_api.entrypoints.http.pages import Listing, Paged, listing
from services.ingest_api.entrypoints.http.writes import Once, Reply
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import producers

router = APIRouter(prefix="/producers", tags=["producers"])

ScopeOfKey = Literal[ProducerScope.TENANT, ProducerScope.PLATFORM]
"""What can be asked for: the API registers its own key by itself."""
Scoped = Annotated[
    ScopeOfKey, Query(description="`tenant`: the caller's own tenant's keys. `platform`: gateways', for operators.")
]


class NewProducer(ContractModel):
    """A key to register."""

    key_id: Annotated[str, Field(min_length=1, max_length=MAX_KEY_ID, pattern=r"^[A-Za-z0-9._:-]+$")]
    """The `kid` of its signatures, unique on the platform."""
    public_key: Annotated[str, Field(min_length=43, max_length=43, pattern=r"^[A-Za-z0-9_-]+$")]
    """Ed25519, base64url without padding: the `x` of its JWK."""
    scope: ScopeOfKey = ProducerScope.TENANT
    """For whom it may speak. `tenant`: for the caller's own tenant. `platform`: it is a gateway that reports the usage
    of all tenants; operators alone may say so."""


@router.post("", status_code=201, response_model=Producer, summary="Register a producer's key")
async def register(body: NewProducer, caller: AnyCaller, once: Once) -> Response:
    """Records signed with it are believed from now on."""

    async def act(stores: Stores) -> Reply:
        producer = await producers.register(stores, caller, body.key_id, body.public_key, body.scope)
        return Reply(201, producer, f"/api/v1/producers/{producer.key_id}")

    return await once.about(caller, producers.owner(caller, body.scope), act)


@router.get("", summary="List producers' keys")
async def list_producers(
    request: Request, page: Paged, caller: AnyCaller, scope: Scoped = ProducerScope.TENANT
) -> Listing[Producer]:
    """By key id; revoked ones too."""
    async with desk_of(request).stores_for(caller, producers.owner(caller, scope)) as stores:
        items = await stores.producers.page(page)
    return listing(request, page, items, lambda producer: producer.key_id)


@router.delete("/{key_id}", status_code=204, summary="Revoke a producer's key")
async def revoke(
    key_id: str,
    caller: AnyCaller,
    once: Once,
    scope: Scoped = ProducerScope.TENANT,
    reason: Annotated[Reason, Query(description="Why, for the audit.")] = "no reason given",
) -> Response:
    """Records signed with it are believed no longer. The key id is never used again."""

    async def act(stores: Stores) -> Reply:
        await producers.revoke(stores, caller, key_id, reason)
        return Reply(204)

    return await once.about(caller, producers.owner(caller, scope), act)
