"""Keeps the inbox from growing for ever: claims that nothing can ask for again are deleted.

A record comes again by a rebalance (seconds), by a relay's repetition (minutes), or from the dead letters (30 days,
their retention). After that only a person who resets a group's offsets could bring it back; the sequence per key, which
is never pruned, still stops what our own services said.
"""

from __future__ import annotations

import asyncio

from loguru import logger
from sqlalchemy import text

from services.kit.errors import TransientError
from services.kit.observability.health import Heartbeat
from services.kit.persistence.database import Database

RETENTION_DAYS = 45
EVERY_SECONDS = 3600.0
ROWS = 10_000
"""Deleted in one transaction, so that none is long."""

DELETE = text(
    """
    DELETE FROM inbox WHERE ctid IN (
        SELECT ctid FROM inbox WHERE claimed_at < now() - make_interval(days => :days) LIMIT :rows
    )
    """
)


async def prune(database: Database, days: int = RETENTION_DAYS) -> int:
    """Delete claims older than `days`; returns how many. Raises `TransientError`."""
    deleted = 0
    while True:
        async with database.unit_of_work() as work:
            found = await work.connection.execute(DELETE, {"days": days, "rows": ROWS})
        deleted += found.rowcount
        if found.rowcount < ROWS:
            return deleted


class Pruner:
    """A component that prunes once at start and then every hour. Several copies do no harm."""

    def __init__(self, database: Database) -> None:
        self.name = f"pruner {database.schema}"
        self._database = database
        self._heartbeat = Heartbeat(self.name, stale_seconds=3 * EVERY_SECONDS)

    async def run(self, stopping: asyncio.Event) -> None:
        """Prune until `stopping`; while the database is away, the next hour will do."""
        while not stopping.is_set():
            self._heartbeat.beat()
            try:
                if deleted := await prune(self._database):
                    logger.info("{}: {} old claims deleted", self.name, deleted)
            except TransientError as error:
                logger.warning("{}: {}", self.name, error)
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await stopping.wait()
            except TimeoutError:
                continue
