"""Keeps tables from growing for ever: rows that nothing can ask for again are deleted.

Of every service that is the inbox. A record comes again by a rebalance (seconds), by a relay's repetition (minutes), or
from the dead letters (30 days, their retention). After that only a person who resets a group's offsets could bring it
back; the sequence per key, which is never pruned, still stops what our own services said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger
from sqlalchemy import text

from services.kit.errors import TransientError
from services.kit.observability.health import Heartbeat
from services.kit.persistence.database import Database
from services.kit.waiting import wait

EVERY_SECONDS = 3600.0
ROWS = 10_000
"""Deleted in one transaction, so that none is long."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the rows of a table are kept. Both names are the code's own, and go into the statement as they are."""

    table: str
    since: str
    """Column that tells a row's age."""
    days: int


INBOX = Retention("inbox", "claimed_at", 45)


async def prune(database: Database, retention: Retention) -> int:
    """Delete the rows that are too old; returns how many. Raises `TransientError`."""
    too_old = f"{retention.since} < now() - make_interval(days => :days)"
    chosen = f"SELECT ctid FROM {retention.table} WHERE {too_old} LIMIT :rows"  # noqa: S608
    delete = text(f"DELETE FROM {retention.table} WHERE ctid IN ({chosen})")  # noqa: S608
    deleted = 0
    while True:
        async with database.unit_of_work() as work:
            found = await work.connection.execute(delete, {"days": retention.days, "rows": ROWS})
        deleted += found.rowcount
        if found.rowcount < ROWS:
            return deleted


class Pruner:
    """A component that prunes once at start and then every hour. Several copies do no harm."""

    def __init__(self, database: Database, retentions: Sequence[Retention] = (INBOX,)) -> None:
        self.name = f"pruner {database.schema}"
        self._database = database
        self._retentions = retentions
        self._heartbeat = Heartbeat(self.name, stale_seconds=3 * EVERY_SECONDS)

    async def run(self, stopping: asyncio.Event) -> None:
        """Prune until `stopping`; while the database is away, the next hour will do."""
        while not stopping.is_set():
            self._heartbeat.beat()
            try:
                for retention in self._retentions:
                    if deleted := await prune(self._database, retention):
                        logger.info("{}: {} old rows of {} deleted", self.name, deleted, retention.table)
            except TransientError as error:
                logger.warning("{}: {}", self.name, error)
            await wait(stopping, EVERY_SECONDS)
