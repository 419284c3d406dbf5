"""Wakes requests that wait for a change of the read model, whichever copy made it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

CHANNEL = "ingest_views"
"""NOTIFY channel that the projection rings."""


class Bell:
    """A component: when `wake` is set, everybody who waits looks again."""

    name = "bell"

    def __init__(self, wake: asyncio.Event) -> None:
        self._wake = wake
        self._next = asyncio.Event()
        self.is_closed = False
        """Whether nobody should wait any more: the process is leaving."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Ring at each wake-up until `stopping`."""
        stop = asyncio.create_task(stopping.wait())
        while not stopping.is_set():
            woken = asyncio.create_task(self._wake.wait())
            await asyncio.wait({stop, woken}, return_when=asyncio.FIRST_COMPLETED)
            woken.cancel()
            self._wake.clear()
            self.ring()
        self.close()

    def ring(self) -> None:
        """Let everybody look again."""
        self._next.set()
        self._next = asyncio.Event()

    def close(self) -> None:
        """Let everybody go."""
        self.is_closed = True
        self.ring()

    def listen(self) -> asyncio.Event:
        """Set at the next ring. Take it before looking, so that a ring in between is not missed."""
        return self._next

    async def wait(self, ring: asyncio.Event, seconds: float) -> None:
        """Wait for `ring`, but no longer than `seconds`, and not at all once the bell is closed."""
        if self.is_closed:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(ring.wait(), seconds)
