"""What belongs to no tenant's resources: nodes, kept answers; and all stores of a transaction as one value."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from schemas.node import NodeObserved
from services.ingest_api.adapters.postgres_accounts import (
    PostgresDirectory,
    PostgresKeys,
    PostgresProducers,
    PostgresTenants,
)
from services.ingest_api.adapters.postgres_deployments import PostgresDeployments
from services.ingest_api.adapters.postgres_models import PostgresModels
from services.ingest_api.adapters.postgres_views import PostgresViews
from services.ingest_api.adapters.tables import NodeRow
from services.ingest_api.domain.read import NodeCapacity
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
USED = text(
    "SELECT a->>'node' AS node, sum((a->>'gpu_milli')::bigint * jsonb_array_length(a->'devices')) AS used"
    " FROM reservation, jsonb_array_elements(allocations) AS a GROUP BY 1"
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


class PostgresCapacity:
    """`CapacityStore`."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work

    async def observe(self, data: NodeObserved, at: datetime) -> None:
        """See the port."""
        statement = insert(NodeRow).values(**data.model_dump(), observed_at=at)
        changes = {name: statement.excluded[name] for name in (*data.model_dump(exclude={"node"}), "observed_at")}
        await self._work.connection.execute(statement.on_conflict_do_update(index_elements=["node"], set_=changes))

    async def remove(self, node: str) -> None:
        """See the port."""
        await self._work.connection.execute(delete(NodeRow).where(NodeRow.node == node))

    async def nodes(self, pool: str | None) -> list[NodeCapacity]:
        """See the port."""
        used = {row.node: int(row.used) for row in await self._work.connection.execute(USED)}
        statement = select(NodeRow).order_by(NodeRow.node)
        if pool is not None:
            statement = statement.where(NodeRow.pool == pool)
        return [_node(row, used.get(row.node, 0)) for row in await self._work.session.scalars(statement)]


def _node(row: NodeRow, used: int) -> NodeCapacity:
    return NodeCapacity(
        node=row.node,
        pool=row.pool,
        gpu_model=row.gpu_model,
        gpu_count=row.gpu_count,
        gpu_total_milli=row.gpu_count * 1000,
        gpu_used_milli=used,
        cpu_milli=row.cpu_milli,
        memory_mib=row.memory_mib,
        observed_at=row.observed_at,
    )


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
        capacity=PostgresCapacity(work),
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
