"""The real REST application on in-memory parts, called in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from services.ingest_api.domain.identity import Principal, Scope
from services.ingest_api.entrypoints.bell import Bell
from services.ingest_api.entrypoints.http.app import make_app
from services.ingest_api.entrypoints.http.desk import Desk
from services.ingest_api.ports import LagProbe, Stores, Transactions, UsageLog
from services.ingest_api.usecases.quota import QuotaDesk
from services.ingest_api.usecases.usage import UsageDesk
from services.kit.clock import HeldClock
from services.kit.ids import new_id
from services.kit.messaging.lag import Snapshot
from tests.fakes.ingest_api.builders import NOW, TENANT
from tests.fakes.ingest_api.memory import InMemoryDuplicateMarks, InMemoryUsageLog
from tests.fakes.quota.ledger import InMemoryQuota

OPERATOR, ADMIN = "operator", "admin"
"""Credentials that `Everybody` believes."""


class StoreReachedError(Exception):
    """The request got through to the database."""


class Everybody:
    """`Tokens`: an operator's, and for any other text an admin's of TENANT."""

    def verify(self, token: str, now: datetime) -> Principal:
        """See the port."""
        if token == OPERATOR:
            return Principal("user:root", None, frozenset({Scope.OPERATOR}))
        return Principal("user:ann", TENANT, frozenset({Scope.ADMIN}))


class NeverMeasured:
    """`LagProbe` before its first measurement."""

    def snapshot(self) -> Snapshot | None:
        """See the port."""
        return None


@asynccontextmanager
async def no_stores(_: UUID | None) -> AsyncIterator[Stores]:
    """`OpenStores` that lead nowhere."""
    raise StoreReachedError
    yield


def nowhere() -> Transactions:
    """No way into the database."""
    return Transactions(tenant=no_stores, platform=no_stores)


@dataclass
class Application:
    """The application, and the parts below it."""

    transactions: Transactions = field(default_factory=nowhere)
    clock: HeldClock = field(default_factory=lambda: HeldClock(NOW))
    log: UsageLog = field(default_factory=InMemoryUsageLog)
    bell: Bell = field(default_factory=Bell)
    lag: LagProbe = field(default_factory=lambda: NeverMeasured())

    def __post_init__(self) -> None:
        self.ledger = InMemoryQuota(self.clock)
        self.marks = InMemoryDuplicateMarks()
        self.usage = UsageDesk(self.marks, self.log, new_id)
        self.quota = QuotaDesk(self.ledger, self.usage)
        desk = Desk(
            transactions=self.transactions,
            tokens=Everybody(),
            usage=self.usage,
            quota=self.quota,
            ledger=self.ledger,
            lag=self.lag,
            bell=self.bell,
            clock=self.clock,
            ids=new_id,
            secrets=lambda: "secret",
        )
        self.app: FastAPI = make_app(desk)

    async def send(self, method: str, path: str, credential: str = ADMIN, **options: Any) -> httpx.Response:
        """One request; paths without `/api` or `/problems` are under the API's base. What the application raises is
        raised here."""
        path = path if path.startswith(("/api", "/problems")) else f"/api/v1{path}"
        headers = {"Authorization": f"Bearer {credential}", "Idempotency-Key": str(new_id())}
        headers |= options.pop("headers", {})
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://front.door") as client:
            return await client.request(method, path, headers=headers, **options)
