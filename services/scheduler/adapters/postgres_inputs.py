"""The log of inputs in PostgreSQL."""

from __future__ import annotations

import zlib
from uuid import UUID

from sqlalchemy import text

from schemas.placement import ReleaseCapacity
from services.kit.persistence.unit_of_work import UnitOfWork
from services.kit.persistence.wakeup import notify
from services.scheduler.domain.model import Input
from services.scheduler.ports import reservation_of

APPEND = text(
    """
    INSERT INTO inputs (tenant_id, pool, type, data, reservation_id, input_id, input_position, origin)
    VALUES (:tenant_id, :pool, :type, :data, :reservation_id, :input_id, :input_position, :origin)
    """
)
POOL_OF = text(
    """
    SELECT pool FROM inputs
    WHERE tenant_id = :tenant_id AND reservation_id = :reservation_id AND type <> :release
    ORDER BY id LIMIT 1
    """
)


def channel_of(pool: str) -> str:
    """The NOTIFY channel that wakes the pool's owner. Hashed: a channel's name is shorter than a pool's may be."""
    return f"scheduler_{zlib.crc32(pool.encode()):08x}"


class PostgresInputLog:
    """Table `inputs`; see `ports.InputLog`."""

    async def append(self, work: UnitOfWork, pool: str, entry: Input) -> None:
        """Insert the row, and notify the pool's channel at commit."""
        await work.connection.execute(
            APPEND,
            {
                "tenant_id": entry.tenant_id,
                "pool": pool,
                "type": entry.data.type,
                "data": entry.data.model_dump_json(exclude_none=True),
                "reservation_id": reservation_of(entry.data),
                "input_id": entry.cause.input_id,
                "input_position": entry.cause.input_position,
                "origin": entry.cause.origin,
            },
        )
        await notify(work, channel_of(pool))

    async def pool_of(self, work: UnitOfWork, tenant_id: UUID, reservation_id: UUID) -> str | None:
        """The pool of the first input that asked for the reservation."""
        wanted = {"tenant_id": tenant_id, "reservation_id": reservation_id, "release": ReleaseCapacity.type}
        found = await work.connection.execute(POOL_OF, wanted)
        pool: str | None = found.scalar_one_or_none()
        return pool
