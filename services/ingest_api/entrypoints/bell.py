"""Wakes requests that wait for a change of a deployment's read model, whichever copy made it."""

from __future__ import annotations

import asyncio
from uuid import UUID
from weakref import WeakValueDictionary

from services.kit.waiting import wait

CHANNEL = "ingest_views"
"""NOTIFY channel that the projection rings; the payload is the deployment's id."""


class Bell:
    """A component: when a deployment's read model has changed, everybody who waits for that looks again."""

    name = "bell"

    def __init__(self) -> None:
        self._next: WeakValueDictionary[UUID, asyncio.Event] = WeakValueDictionary()
        """The next ring of each deployment that somebody waits for."""
        self.is_closed = False
        """Whether nobody should wait any more: the process is leaving."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Wait for `stopping`; then let everybody go."""
        await stopping.wait()
        self.close()

    def hear(self, payload: str) -> None:
        """A notification. One without a deployment means that some may have been missed: everybody looks again."""
        if payload:
            self.ring(UUID(payload))
        else:
            self._ring_all()

    def ring(self, deployment_id: UUID) -> None:
        """Let those look again who wait for this deployment."""
        ring = self._next.pop(deployment_id, None)
        if ring is not None:
            ring.set()

    def close(self) -> None:
        """Let everybody go."""
        self.is_closed = True
        self._ring_all()

    def _ring_all(self) -> None:
        for deployment_id in list(self._next):
            self.ring(deployment_id)

    def listen(self, deployment_id: UUID) -> asyncio.Event:
        """Set at the deployment's next ring. Take it before looking, so that a ring in between is not missed."""
        ring = self._next.get(deployment_id)
        if ring is None:
            ring = self._next[deployment_id] = asyncio.Event()
        return ring

    async def wait(self, ring: asyncio.Event, seconds: float) -> None:
        """Wait for `ring`, but no longer than `seconds`, and not at all once the bell is closed."""
        if not self.is_closed:
            await wait(ring, seconds)
