"""Nodes and what is reserved on them, in Postgres; by whom, as far as the transaction's role and tenant may see."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from schemas.node import NodeObserved
from schemas.resources import Allocation
from services.ingest_api.adapters.tables import NodeRow, TenantRow, ViewRow
from services.ingest_api.domain.gpu_map import Holding
from services.ingest_api.domain.read import NodeCapacity
from services.kit.persistence.tenancy import ACROSS_TENANTS
from services.kit.persistence.unit_of_work import UnitOfWork

USED = text(
    "SELECT a->>'node' AS node, sum((a->>'gpu_milli')::bigint * jsonb_array_length(a->'devices')) AS used"
    " FROM reservation, jsonb_array_elements(allocations) AS a GROUP BY 1"
)
ALLOCATIONS = text("SELECT allocations FROM reservation WHERE gpu_milli > 0")
HOLDINGS = text(
    "SELECT r.tenant_id, t.name AS tenant, r.deployment_id, v.name AS deployment, r.reservation_id, r.allocations"
    " FROM reservation r LEFT JOIN tenant t USING (tenant_id)"
    " LEFT JOIN deployment_view v USING (tenant_id, deployment_id)"
    " WHERE r.gpu_milli > 0 AND (cast(:tenant AS uuid) IS NULL OR r.tenant_id = cast(:tenant AS uuid))"
    " ORDER BY r.reservation_id"
)
PLACES = TypeAdapter(tuple[Allocation, ...])


class PostgresCapacity:
    """`CapacityStore`."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work

    async def observe(self, data: NodeObserved, at: datetime) -> None:
        """See the port."""
        told = data.model_dump() | {"failed_devices": list(data.failed_devices), "observed_at": at}
        statement = insert(NodeRow).values(**told)
        changes = {name: statement.excluded[name] for name in told if name != "node"}
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

    async def has_nodes(self, pool: str) -> bool:
        """See the port."""
        statement = select(NodeRow.node).where(NodeRow.pool == pool).limit(1)
        return await self._work.session.scalar(statement) is not None

    async def allocations(self) -> list[Allocation]:
        """See the port."""
        rows = await self._work.connection.execute(ALLOCATIONS)
        return [place for row in rows for place in PLACES.validate_python(row.allocations)]

    async def holdings(self) -> list[Holding]:
        """See the port."""
        rows = await self._work.connection.execute(HOLDINGS, {"tenant": self._work.tenant_id})
        return [
            Holding(
                tenant_id=row.tenant_id,
                tenant=row.tenant,
                deployment_id=row.deployment_id,
                deployment=row.deployment,
                reservation_id=row.reservation_id,
                allocation=place,
            )
            for row in rows
            for place in PLACES.validate_python(row.allocations)
        ]

    async def deployment_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """See the port."""
        statement = select(ViewRow.deployment_id, ViewRow.name).where(ViewRow.deployment_id.in_(ids))
        rows = await self._work.session.execute(statement, execution_options=self._scope())
        return {row.deployment_id: row.name for row in rows}

    async def tenant_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """See the port."""
        statement = select(TenantRow.tenant_id, TenantRow.name).where(TenantRow.tenant_id.in_(ids))
        rows = await self._work.session.execute(statement, execution_options=self._scope())
        return {row.tenant_id: row.name for row in rows}

    def _scope(self) -> dict[str, bool]:
        """Of all tenants when the transaction speaks for none; the database lets the worker role alone see them."""
        return {ACROSS_TENANTS: self._work.tenant_id is None}


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
        failed_devices=tuple(row.failed_devices),
        is_cordoned=row.is_cordoned,
        zone=row.zone,
    )
