"""The owner of a pool at work on stores in memory: its log can be filled, its clock held, and what it says read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from schemas.base import EventData
from schemas.envelope import Event
from schemas.placement import PlacementEvent
from services.kit.clock import HeldClock
from services.kit.errors import TransientError
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.policies import Policy, policy_named
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.entrypoints.owner import PoolOwner, lease_name
from services.scheduler.ports import Applied, Pending, SetAside
from tests.fakes.scheduler.builders import NOW, TEAM, entry
from tests.fakes.scheduler.stores import InMemoryDatabase, InMemoryInputLog, InMemoryPoolStore

DataT = TypeVar("DataT", bound=EventData)


class FailingPoolStore(InMemoryPoolStore):
    """Takes a while to save, in which others go on, and fails its next save, after having done it, when told so."""

    fails = False
    cannot_read_ahead = False
    """Whether reading fails as long as a batch is stored."""

    async def pending(
        self, work: UnitOfWork, pool: str, limit: int, besides: Sequence[int] = ()
    ) -> list[Pending | SetAside]:
        if besides and self.cannot_read_ahead:
            raise TransientError("database: gone")
        return await super().pending(work, pool, limit, besides)

    async def save(self, work: UnitOfWork, snapshot: Snapshot, applied: Sequence[Applied]) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        await super().save(work, snapshot, applied)
        if self.fails:
            self.fails = False
            raise TransientError("database: gone")


class Office:
    """An owner with a log that can be filled."""

    def __init__(self, batch_size: int = 200, clock: HeldClock | None = None, policy: Policy | None = None) -> None:
        self.clock = clock or HeldClock(NOW)
        self.database = InMemoryDatabase(self.clock)
        self.store = FailingPoolStore(self.database)
        self.wake = asyncio.Event()
        self.batch_size = batch_size
        self.owner = self.hire(policy or policy_named("default"))

    def hire(self, policy: Policy) -> PoolOwner:
        """An owner that decides by this policy."""
        return PoolOwner(
            "default", policy, self.database, self.store, self.clock, self.wake, batch_size=self.batch_size
        )

    async def given(self, *messages: EventData) -> Office:
        """These are in the log, and this owner has taken the pool over."""
        await self.told(*messages)
        self.lease = await self.database.lease(lease_name("default"))
        await self.owner.take_over(self.lease)
        return self

    async def told(self, *messages: EventData, tenant_id: UUID = TEAM) -> None:
        """These come to the log."""
        async with self.database.unit_of_work() as work:
            for data in messages:
                await InMemoryInputLog(self.database).append(work, "default", entry(data, tenant_id))

    async def drain(self) -> None:
        """Tick until nothing wakes the loop."""
        self.wake.set()
        while self.wake.is_set():
            self.wake.clear()
            await self.owner.tick(self.lease)

    async def when(self, *messages: EventData, seconds: float = 0) -> list[PlacementEvent]:
        """What is said of reservations after these came, so much later."""
        before = len(self.placements())
        self.clock.advance(seconds)
        await self.told(*messages)
        await self.drain()
        return self.placements()[before:]

    def events(self, kind: type[DataT]) -> list[Event[DataT]]:
        """What was said of this kind, with its envelope."""
        return [event for event in self.database.tables.events if isinstance(event.data, kind)]

    def said(self, kind: type[DataT]) -> list[DataT]:
        """What was said of this kind."""
        return [event.data for event in self.events(kind)]

    def placements(self) -> list[Any]:
        """What was said of reservations: all that has a number."""
        return self.said(PlacementEvent)

    def words(self) -> list[str]:
        """The same as JSON, byte for byte."""
        return [data.model_dump_json() for data in self.placements()]
