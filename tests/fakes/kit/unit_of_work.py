"""Units of work on tables in memory: committed when their block ends, without a trace when it raises."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar, cast

from schemas.envelope import Event
from services.kit.clock import Clock
from services.kit.persistence.unit_of_work import UnitOfWork


class Tables(Protocol):
    """Everything that a service stores."""

    events: list[Event[Any]]
    """What was said, as the relay would send it."""


TablesT = TypeVar("TablesT", bound=Tables)
WorkT = TypeVar("WorkT", bound="InMemoryUnitOfWork[Any]")


class InMemoryUnitOfWork(UnitOfWork, Generic[TablesT]):
    """A transaction on `tables`; it has no connection."""

    def __init__(self, tables: TablesT, schema: str, service: str, clock: Clock) -> None:
        super().__init__(cast(Any, None), f"/taxiway/{service}", schema, clock)
        self.tables = tables

    async def flush(self) -> None:
        """Keep what was collected, and what was said."""
        await self.write_collected()
        self.tables.events += self._events


@asynccontextmanager
async def transaction(work: WorkT) -> AsyncIterator[WorkT]:
    """Commits when the block ends; leaves no trace when it raises."""
    before = copy.deepcopy(work.tables)
    try:
        yield work
        await work.flush()
    except BaseException:
        work.tables.__dict__.update(before.__dict__)
        raise
    work.committed()
