"""Who asks, in the words that events need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.ingest_api.domain import api_keys
from services.ingest_api.domain.identity import CredentialError, Principal, Scope
from services.ingest_api.domain.problems import Problem
from services.ingest_api.ports import OpenStores, Tokens
from services.kit.messaging.origin import Origin


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller within one request."""

    principal: Principal
    now: datetime
    """When the request came."""
    trace_id: str
    """Of the request; the correlation of everything that it causes."""
    traceparent: str | None = None

    @property
    def tenant_id(self) -> UUID:
        """The tenant of the credential; raises `Problem` for a credential of no tenant."""
        if self.principal.tenant_id is None:
            raise Problem("forbidden", "This route needs a credential of a tenant; yours is of none.")
        return self.principal.tenant_id

    def origin(self, tenant_id: UUID | None = None) -> Origin:
        """Why an event is emitted: because this caller asked; about its own tenant unless another is given."""
        about = tenant_id or self.principal.tenant_id
        return Origin(about, self.principal.actor, correlation_id=self.trace_id, traceparent=self.traceparent)


def require(caller: Caller, *scopes: Scope) -> None:
    """Raise `Problem` unless the credential includes one of `scopes`."""
    if not caller.principal.may(*scopes):
        raise Problem("forbidden", f"The credential needs the scope {' or '.join(scopes)}.")


async def identify(credential: str, now: datetime, tokens: Tokens, platform: OpenStores) -> Principal:
    """The caller behind an API key or a bearer token; raises `CredentialError`."""
    if not credential.startswith(api_keys.PREFIX):
        return tokens.verify(credential, now)
    key_id, secret = api_keys.parse(credential)
    async with platform(None) as stores:
        key = await stores.directory.api_key(key_id)
    return api_keys.verify(key, secret, now)


def unauthenticated(error: CredentialError) -> Problem:
    """The problem of a credential that is not accepted."""
    return Problem("unauthenticated", f"{error}.", headers={"WWW-Authenticate": "Bearer"})
