"""The history part of `ViewStore` in memory; it passes the same contract tests as the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from schemas.envelope import Event
from services.ingest_api.domain.read import HistoryEntry
from services.ingest_api.ports import OpenStores, Page, Stores


class InMemoryHistory:
    """Entries of all deployments of one tenant, in the order in which they came in."""

    def __init__(self) -> None:
        self._entries: list[tuple[UUID, HistoryEntry]] = []
        self.rows_read = 0
        """Entries that were handed out."""

    async def add_history(self, deployment_id: UUID, event: Event[Any], words: str) -> None:
        """See the port."""
        assert event.position is not None
        if await self.entry(deployment_id, event.id) is None:
            place, at = event.position, event.position.appended_at
            entry = HistoryEntry(
                event_id=event.id,
                type=event.type,
                words=words,
                actor=event.actor,
                time=event.time,
                appended_at=at,
                position=str(place),
                sort_key=f"{at.isoformat()} {event.time.isoformat()} {place.topic} {place.offset:020d}",
                number=len(self._entries) + 1,
            )
            self._entries.append((deployment_id, entry))

    def _of(self, deployment_id: UUID) -> list[HistoryEntry]:
        return [entry for about, entry in self._entries if about == deployment_id]

    async def history(self, deployment_id: UUID, page: Page) -> list[HistoryEntry]:
        """See the port."""
        behind = [entry for entry in self._of(deployment_id) if page.after is None or entry.sort_key > page.after]
        return self._handed(sorted(behind, key=lambda entry: entry.sort_key)[: page.limit])

    async def newest(self, deployment_id: UUID) -> int:
        """See the port."""
        return max((entry.number for entry in self._of(deployment_id)), default=0)

    async def entry(self, deployment_id: UUID, event_id: str) -> HistoryEntry | None:
        """See the port."""
        return next((entry for entry in self._of(deployment_id) if entry.event_id == event_id), None)

    async def news(self, deployment_id: UUID, after: int, limit: int) -> list[HistoryEntry]:
        """See the port."""
        fresh = [entry for entry in self._of(deployment_id) if entry.number > after][:limit]
        return self._handed(sorted(fresh, key=lambda entry: entry.sort_key))

    def _handed(self, entries: list[HistoryEntry]) -> list[HistoryEntry]:
        self.rows_read += len(entries)
        return entries


def open_history(history: InMemoryHistory) -> OpenStores:
    """Opens transactions that have a history and nothing else."""

    @asynccontextmanager
    async def open_stores(_: UUID | None) -> AsyncIterator[Stores]:
        yield cast(Stores, SimpleNamespace(views=history))

    return open_stores
