"""Makes the platform's ingest key known at start, however long the database takes to come."""

from __future__ import annotations

import asyncio

from loguru import logger

from services.ingest_api.ports import OpenStores
from services.ingest_api.usecases.producers import PublicKey, register_platform_key
from services.kit.clock import Clock
from services.kit.errors import TransientError
from services.kit.resilience import Backoff


class KeyRegistration:
    """A component that registers the key once, then has nothing more to do."""

    name = "key registration"

    def __init__(self, platform: OpenStores, key: PublicKey, clock: Clock, backoff: Backoff | None = None) -> None:
        self._platform = platform
        self._key = key
        self._clock = clock
        self._backoff = backoff or Backoff()

    async def run(self, stopping: asyncio.Event) -> None:
        """Register, trying again while the database is away; then wait for `stopping`."""
        attempt = 0
        while not stopping.is_set():
            attempt += 1
            try:
                if await register_platform_key(self._platform, self._key, self._clock):
                    logger.info("registered key {} of the platform", self._key.key_id)
                break
            except TransientError as error:
                logger.warning("{}: {}", self.name, error)
                await self._backoff.wait(attempt)
        await stopping.wait()
