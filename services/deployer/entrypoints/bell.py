"""Wakes the owners of all shards of this process when something was recorded, here or in another copy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Bell:
    """A component that passes each ring on to every owner; a rollout's own shard is not known to who rings."""

    name = "bell"

    def __init__(self, owners: Sequence[asyncio.Event]) -> None:
        self.rung = asyncio.Event()
        """Set it to ring."""
        self._owners = owners

    async def run(self, stopping: asyncio.Event) -> None:
        """Pass rings on until `stopping`."""
        stopped = asyncio.create_task(stopping.wait())
        while not stopping.is_set():
            rung = asyncio.create_task(self.rung.wait())
            await asyncio.wait({stopped, rung}, return_when=asyncio.FIRST_COMPLETED)
            rung.cancel()
            self.rung.clear()
            for owner in self._owners:
                owner.set()
