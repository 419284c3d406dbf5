"""The log of inputs in PostgreSQL. What the handlers of a batch of messages record is written by one statement."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import text

from schemas.placement import ReleaseCapacity
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.model import Input
from services.scheduler.ports import reservation_of

APPEND = """
INSERT INTO inputs (tenant_id, pool, type, data, reservation_id, input_id, input_position, origin)
SELECT tenant_id, pool, type, data, reservation_id, input_id, input_position, origin
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[])
WITH ORDINALITY AS b (tenant_id, pool, type, data, reservation_id, input_id, input_position, origin, n)
ORDER BY n
"""
"""In the order in which they were recorded: ids grow with it."""
NOTIFY = "SELECT pg_notify(channel, '') FROM unnest($1::text[]) AS channel"
POOL_OF = text(
    """
    SELECT pool FROM inputs
    WHERE tenant_id = :tenant_id AND reservation_id = :reservation_id AND type <> :release
    ORDER BY id LIMIT 1
    """
)

Collected = list[tuple[str, Input]]
"""Pools and what is to be recorded in their logs."""


def channel_of(pool: str) -> str:
    """The NOTIFY channel that wakes the pool's owner. Hashed: a channel's name is shorter than a pool's may be."""
    return f"scheduler_{zlib.crc32(pool.encode()):08x}"


class PostgresInputLog:
    """Table `inputs`; see `ports.InputLog`."""

    def __init__(self) -> None:
        self._collected: WeakKeyDictionary[UnitOfWork, Collected] = WeakKeyDictionary()
        """By transactions that are open still."""

    async def append(self, work: UnitOfWork, pool: str, entry: Input) -> None:
        """Insert the row, and notify the pool's channel, both just before the commit."""
        collected = self._collected.get(work)
        if collected is None:
            collected = self._collected[work] = []
            work.before_commit(partial(_write, collected))
        collected.append((pool, entry))

    async def pool_of(self, work: UnitOfWork, tenant_id: UUID, reservation_id: UUID) -> str | None:
        """The pool of the first input that asked for the reservation."""
        wanted = {"tenant_id": tenant_id, "reservation_id": reservation_id, "release": ReleaseCapacity.type}
        found = await work.connection.execute(POOL_OF, wanted)
        pool: str | None = found.scalar_one_or_none()
        return pool or _pool_of(self._collected.get(work, []), tenant_id, reservation_id)


def _pool_of(collected: Collected, tenant_id: UUID, reservation_id: UUID) -> str | None:
    for pool, entry in collected:
        is_about = entry.tenant_id == tenant_id and reservation_of(entry.data) == reservation_id
        if is_about and not isinstance(entry.data, ReleaseCapacity):
            return pool
    return None


async def _write(collected: Collected, work: UnitOfWork) -> None:
    driver = await work.driver()
    columns: Sequence[Sequence[object]] = list(
        zip(
            *(
                (
                    entry.tenant_id,
                    pool,
                    entry.data.type,
                    entry.data.model_dump_json(exclude_none=True),
                    reservation_of(entry.data),
                    entry.cause.input_id,
                    entry.cause.input_position,
                    entry.cause.origin,
                )
                for pool, entry in collected
            ),
            strict=True,
        )
    )
    await driver.execute(APPEND, *columns)
    await driver.execute(NOTIFY, sorted({channel_of(pool) for pool, _ in collected}))
