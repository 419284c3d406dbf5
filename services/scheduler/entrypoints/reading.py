"""Reads a pool's inputs in batches; the next one is read while the present one is being stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.kit.messaging.dispatch import UnitsOfWork
from services.scheduler.ports import Pending, PoolStore, SetAside, reservation_of


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs that wait, in order."""

    readable: list[Pending]
    unreadable: list[SetAside]
    closed: set[UUID]
    """Reservations of the readable ones that are closed in the store."""
    is_full: bool
    """Whether more may wait."""

    @property
    def ids(self) -> list[int]:
        """Of all of them."""
        return [*(item.id for item in self.readable), *(item.id for item in self.unreadable)]

    def closed_with(self, known: Iterable[UUID]) -> set[UUID]:
        """Those that are closed in the store, or known to be closed before this was read."""
        mentioned = {reservation_of(item.entry.data) for item in self.readable}
        return self.closed | {each for each in known if each in mentioned}


class BatchReader:
    """Reads for one pool.

    Reading is not fenced: the fence with which a batch is stored proves that nobody else changed the pool since.
    """

    def __init__(self, pool: str, database: UnitsOfWork, store: PoolStore, batch_size: int) -> None:
        self._pool = pool
        self._database = database
        self._store = store
        self._batch_size = batch_size
        self._ahead: asyncio.Task[Batch] | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether the next batch is read already, or being read."""
        return self._ahead is not None

    async def next(self) -> Batch:
        """What was read ahead, or what waits now."""
        ahead, self._ahead = self._ahead, None
        return await (self._read() if ahead is None else ahead)

    def read_ahead(self, besides: Batch) -> None:
        """Begin to read what follows this batch, which is stored meanwhile."""
        self.forget()
        self._ahead = asyncio.create_task(self._read(besides.ids))

    def forget(self) -> None:
        """What was read ahead is not to be used."""
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    async def _read(self, besides: Sequence[int] = ()) -> Batch:
        async with self._database.unit_of_work() as work:
            pending = await self._store.pending(work, self._pool, self._batch_size, besides)
            readable = [item for item in pending if isinstance(item, Pending)]
            closed = await self._store.closed(work, self._pool, [item.entry for item in readable])
        unreadable = [item for item in pending if isinstance(item, SetAside)]
        return Batch(readable, unreadable, closed, len(pending) == self._batch_size)
