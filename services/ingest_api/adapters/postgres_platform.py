"""Kept answers to writes; and all stores of a transaction as one value."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text

from services.ingest_api.adapters.postgres_accounts import (
    PostgresDirectory,
    PostgresKeys,
    PostgresProducers,
    PostgresTenants,
)
from services.ingest_api.adapters.postgres_capacity import PostgresCapacity
from services.ingest_api.adapters.postgres_deployments import PostgresDeployments
from services.ingest_api.adapters.postgres_models import PostgresModels
from services.ingest_api.adapters.postgres_questions import PostgresQuestions, PostgresQueues
from services.ingest_api.adapters.postgres_reservations import PostgresReservations
from services.ingest_api.adapters.postgres_views import PostgresViews
from services.ingest_api.ports import OpenStores, StoredReply, Stores
from services.kit.persistence.database import Database
from services.kit.persistence.unit_of_work import UnitOfWork

CLAIM = text(
    "INSERT INTO reply (tenant_id, key, fingerprint) VALUES (:account, :key, :fingerprint)"
    " ON CONFLICT DO NOTHING RETURNING 1"
)
"""Waits for a transaction that has claimed the same key, and then sees its answer or claims the key itself."""
FIND = text("SELECT fingerprint, status, location, body FROM reply WHERE tenant_id = :account AND key = :key")
KEEP = text(
    "UPDATE reply SET status = :status, location = :location, body = cast(:body AS json)"
    " WHERE tenant_id = :account AND key = :key"
)


class PostgresReplies:
    """`ReplyStore`."""

    def __init__(self, work: UnitOfWork) -> None:
        self._connection = work.connection

    async def claim(self, account: UUID, key: str, fingerprint: bytes) -> StoredReply | None:
        """See the port."""
        claim = {"account": account, "key": key, "fingerprint": fingerprint}
        while (await self._connection.execute(CLAIM, claim)).first() is None:
            row = (await self._connection.execute(FIND, {"account": account, "key": key})).first()
            if row is not None:
                return StoredReply(row.fingerprint, row.status, row.location, row.body)
        return None

    async def keep(self, account: UUID, key: str, reply: StoredReply) -> None:
        """See the port."""
        body = None if reply.body is None else json.dumps(reply.body)
        values = {"account": account, "key": key, "status": reply.status, "location": reply.location, "body": body}
        await self._connection.execute(KEEP, values)


def stores_of(work: UnitOfWork) -> Stores:
    """All stores on one open transaction."""
    session = work.session
    views = PostgresViews(work)
    return Stores(
        tenants=PostgresTenants(session),
        keys=PostgresKeys(session),
        producers=PostgresProducers(session),
        models=PostgresModels(session),
        deployments=PostgresDeployments(work, views),
        views=views,
        reservations=PostgresReservations(work),
        capacity=PostgresCapacity(work),
        queues=PostgresQueues(work),
        questions=PostgresQuestions(work),
        replies=PostgresReplies(work),
        directory=PostgresDirectory(session),
        emit=work.emit,
        act_for=work.act_for,
    )


def opener(database: Database) -> OpenStores:
    """Opens transactions of `database` as stores."""

    @asynccontextmanager
    async def open_stores(tenant_id: UUID | None) -> AsyncIterator[Stores]:
        async with database.unit_of_work(tenant_id) as work:
            yield stores_of(work)

    return open_stores
