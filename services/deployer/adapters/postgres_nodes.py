"""The nodes that were told last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import text

from services.deployer.domain.node import Node, NodeChange
from services.kit.messaging.origin import Origin
from services.kit.persistence.database import Database
from services.kit.persistence.leases import Lease

KNOWN = text(
    """
    SELECT name, pool, cpu_milli, memory_mib, gpu_count, gpu_model, failed_devices, is_cordoned, zone
    FROM node ORDER BY name
    """
)
UPSERT = text(
    """
    INSERT INTO node (name, pool, cpu_milli, memory_mib, gpu_count, gpu_model, failed_devices, is_cordoned, zone)
    VALUES (:name, :pool, :cpu_milli, :memory_mib, :gpu_count, :gpu_model,
       CAST(:failed_devices AS integer[]), :is_cordoned, :zone)
    ON CONFLICT (name) DO UPDATE SET pool = excluded.pool, cpu_milli = excluded.cpu_milli,
       memory_mib = excluded.memory_mib, gpu_count = excluded.gpu_count, gpu_model = excluded.gpu_model,
       failed_devices = excluded.failed_devices, is_cordoned = excluded.is_cordoned, zone = excluded.zone
    """
)
DELETE = text("DELETE FROM node WHERE name = :name")
ORIGIN = Origin(None, "service:deployer")


class PostgresNodeStore:
    """`NodeStore` on the table `node`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self) -> Sequence[Node]:
        """See `NodeStore.known`."""
        async with self._database.unit_of_work() as work:
            rows = (await work.connection.execute(KNOWN)).mappings()
            return [Node(**{**row, "failed_devices": tuple(row["failed_devices"])}) for row in rows]

    async def save(self, lease: Lease, changes: Sequence[NodeChange]) -> None:
        """See `NodeStore.save`."""
        there = [asdict(change.node) for change in changes if change.node]
        gone = [{"name": change.name} for change in changes if change.node is None]
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            if there:
                await work.connection.execute(UPSERT, there)
            if gone:
                await work.connection.execute(DELETE, gone)
            for change in changes:
                work.emit(change.event, ORIGIN)
