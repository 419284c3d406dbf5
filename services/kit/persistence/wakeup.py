"""Wakes a loop in any copy of a service: NOTIFY in the transaction that left work, LISTEN where the work is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loguru import logger
from sqlalchemy import text

from services.kit.errors import TransientError
from services.kit.persistence.connection import own_connection
from services.kit.persistence.database import Database
from services.kit.persistence.unit_of_work import UnitOfWork

NOTIFY = text("SELECT pg_notify(:channel, :payload)")
RETRY_SECONDS = 1.0


async def notify(work: UnitOfWork, channel: str, payload: str = "") -> None:
    """Wake the listeners of `channel` when the transaction commits. What is said twice in it is heard once."""
    await work.connection.execute(NOTIFY, {"channel": channel, "payload": payload})


class Listener:
    """A component that calls `heard` with the payload of each notification, and with "" whenever it begins to listen:
    what was said before that it has missed. While the database is away the loops' own interval serves."""

    def __init__(self, database: Database, channel: str, heard: Callable[[str], None]) -> None:
        self.name = f"listener {channel}"
        self._dsn = database.dsn
        self._channel = channel
        self._heard = heard

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until `stopping`; a lost connection is made anew."""
        while not stopping.is_set():
            try:
                await self._listen(stopping)
            except TransientError as error:
                logger.warning("{}: {}", self.name, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, stopping: asyncio.Event) -> None:
        async with own_connection(self._dsn) as connection:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(self._channel, lambda *said: self._heard(said[-1]))
            self._heard("")
            waits = {asyncio.create_task(stopping.wait()), asyncio.create_task(lost.wait())}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                task.cancel()
            if lost.is_set():
                raise TransientError("the database closed the connection")
