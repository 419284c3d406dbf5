"""Writes that are safe to repeat: the answer to an Idempotency-Key is kept in the transaction of the write itself."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response

from schemas.tenant import PLATFORM_TENANT
from services.ingest_api.domain.problems import Problem
from services.ingest_api.domain.usage_input import check_tenant, parse_json
from services.ingest_api.entrypoints.http.callers import AnyCaller
from services.ingest_api.entrypoints.http.desk import Desk, desk_of
from services.ingest_api.ports import OpenStores, StoredReply, Stores
from services.ingest_api.usecases.caller import Caller

MAX_KEY = 200
"""Characters of an Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a write answers."""

    status: int
    body: Any = None
    """A model, or None."""
    location: str | None = None
    kept: Any = None
    """What is kept for repetitions when that differs from the body: a secret is shown once."""


Act = Callable[[Stores], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Write:
    """One write of one request."""

    desk: Desk
    key: str
    fingerprint: bytes
    """Of method, path and body."""

    async def for_tenant(self, caller: Caller, act: Act) -> Response:
        """Do it once, as the caller's own tenant."""
        tenant_id = caller.tenant_id
        return await self._once(self.desk.transactions.tenant, tenant_id, tenant_id, act)

    async def about(self, caller: Caller, tenant_id: UUID, act: Act) -> Response:
        """Do it once: as an operator about that tenant, or as the tenant itself."""
        return await (
            self.for_operator(tenant_id, act) if caller.principal.is_operator else self.for_tenant(caller, act)
        )

    async def for_operator(self, tenant_id: UUID | None, act: Act) -> Response:
        """Do it once, as an operator, about that tenant."""
        return await self._once(self.desk.transactions.platform, tenant_id, PLATFORM_TENANT, act)

    async def _once(self, open_stores: OpenStores, tenant_id: UUID | None, account: UUID, act: Act) -> Response:
        """A refused write keeps nothing: it may be tried again with the same key."""
        async with open_stores(tenant_id) as stores:
            earlier = await stores.replies.claim(account, self.key, self.fingerprint)
            if earlier is not None:
                return self._again(earlier)
            reply = await act(stores)
            body = jsonable_encoder(reply.body)
            kept = body if reply.kept is None else jsonable_encoder(reply.kept)
            await stores.replies.keep(
                account, self.key, StoredReply(self.fingerprint, reply.status, reply.location, kept)
            )
        return respond(reply.status, reply.location, body)

    def _again(self, earlier: StoredReply) -> Response:
        if earlier.fingerprint != self.fingerprint:
            raise Problem(
                "idempotency-key-reused",
                "This Idempotency-Key was used for a request with another method, path or body: use a fresh one.",
            )
        response = respond(earlier.status, earlier.location, earlier.body)
        response.headers["Idempotent-Replayed"] = "true"
        return response


def respond(status: int, location: str | None, body: Any) -> Response:
    """A JSON response, or one without a body."""
    headers = {} if location is None else {"Location": location}
    return Response(status_code=status, headers=headers) if body is None else JSONResponse(body, status, headers)


def check_body_tenant(body: bytes, caller: Caller) -> None:
    """A body may repeat the credential's tenant, and name no other; raises `Problem`."""
    if caller.principal.tenant_id is not None and b"tenant_id" in body:
        document = parse_json(body)
        if isinstance(document, dict):
            check_tenant(document.get("tenant_id"), "/tenant_id", caller.tenant_id)


async def _write(
    request: Request,
    caller: AnyCaller,
    idempotency_key: Annotated[
        str | None,
        Header(description="A fresh value for each write; repeat it, for up to 7 days, to repeat the write safely."),
    ] = None,
) -> Write:
    if not idempotency_key or len(idempotency_key) > MAX_KEY or not idempotency_key.isprintable():
        raise Problem("idempotency-key-required", f"Send an Idempotency-Key of 1 to {MAX_KEY} printable characters.")
    body = await request.body()
    check_body_tenant(body, caller)
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return Write(desk_of(request), idempotency_key, hashlib.sha256(asked + body).digest())


Once = Annotated[Write, Depends(_write)]
