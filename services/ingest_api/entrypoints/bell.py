"""Wakes requests that wait for a change of a deployment's read model or for the answer to a question, whichever copy
learned of it. Either is known by its id."""

from __future__ import annotations

import asyncio
from uuid import UUID
from weakref import WeakValueDictionary

from services.kit.waiting import wait

CHANNEL = "ingest_views"
"""NOTIFY channel that the projection rings; the payload is the id of the deployment or the question."""


class Bell:
    """A component: when something has changed, everybody who waits for that looks again."""

    name = "bell"

    def __init__(self) -> None:
        self._next: WeakValueDictionary[UUID, asyncio.Event] = WeakValueDictionary()
        """The next ring of each id that somebody waits for."""
        self.is_closed = False
        """Whether nobody should wait any more: the process is leaving."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Wait for `stopping`; then let everybody go."""
        await stopping.wait()
        self.close()

    def hear(self, payload: str) -> None:
        """A notification. One without an id means that some may have been missed: everybody looks again."""
        if payload:
            self.ring(UUID(payload))
        else:
            self._ring_all()

    def ring(self, about: UUID) -> None:
        """Let those look again who wait for this."""
        ring = self._next.pop(about, None)
        if ring is not None:
            ring.set()

    def close(self) -> None:
        """Let everybody go."""
        self.is_closed = True
        self._ring_all()

    def _ring_all(self) -> None:
        for about in list(self._next):
            self.ring(about)

    def listen(self, about: UUID) -> asyncio.Event:
        """Set at its next ring. Take it before looking, so that a ring in between is not missed."""
        ring = self._next.get(about)
        if ring is None:
            ring = self._next[about] = asyncio.Event()
        return ring

    async def wait(self, ring: asyncio.Event, seconds: float) -> None:
        """Wait for `ring`, but no longer than `seconds`, and not at all once the bell is closed."""
        if not self.is_closed:
            await wait(ring, seconds)
