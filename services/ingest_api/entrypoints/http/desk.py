"""What the routes are given: made once in `bootstrap`, found on the app."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request

from services.ingest_api.entrypoints.bell import Bell
from services.ingest_api.ports import LagProbe, Stores, Tokens, Transactions
from services.ingest_api.usecases.caller import Caller
from services.ingest_api.usecases.quota import QuotaDesk
from services.ingest_api.usecases.usage import UsageDesk
from services.kit.clock import Clock
from services.kit.ids import IdFactory
from services.kit.quota.model import QuotaLedger


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that routes work with."""

    transactions: Transactions
    tokens: Tokens
    usage: UsageDesk
    quota: QuotaDesk
    ledger: QuotaLedger
    lag: LagProbe
    bell: Bell
    clock: Clock
    ids: IdFactory
    secrets: Callable[[], str]
    """Makes the secret of an API key: 256 random bits as text."""

    def stores_for(self, caller: Caller, tenant_id: UUID) -> AbstractAsyncContextManager[Stores]:
        """A transaction about a tenant that the caller may see: an operator's as the worker role, anybody else's as the
        app role, which row-level security keeps to the caller's own tenant."""
        if caller.principal.is_operator:
            return self.transactions.platform(tenant_id)
        return self.transactions.tenant(caller.tenant_id)


def desk_of(request: Request) -> Desk:
    """The desk of the app that the request came to."""
    desk: Desk = request.app.state.desk
    return desk
