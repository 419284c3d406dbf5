"""Fills the quota keys in Redis from the ledger when their data set was lost; until then admission answers 503.

What was published and is not counted yet is not in the ledger, and its holds went with the data set: for as long as
the stream lags, a tenant may exceed a limit by that much after a loss.
"""

from __future__ import annotations

import asyncio

from loguru import logger

from services.kit.errors import TransientError
from services.kit.ids import IdFactory, new_id
from services.kit.observability.health import Heartbeat
from services.kit.quota.model import QuotaLedger, Scope, Settlement
from services.kit.waiting import wait
from services.metering.domain.model import Total, TotalKey
from services.metering.ports import Books

CHUNK = 500
"""Settlements in one round trip."""


class QuotaRestorer:
    """A component that looks, every `interval` seconds, whether the data set is intact."""

    name = "quota restorer"

    def __init__(self, books: Books, quota: QuotaLedger, *, interval: float = 1.0, make_id: IdFactory = new_id) -> None:
        self._books = books
        self._quota = quota
        self._interval = interval
        self._make_id = make_id
        self._heartbeat = Heartbeat(self.name)

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until `stopping`."""
        while not stopping.is_set():
            self._heartbeat.beat()
            try:
                await self.restore_if_lost()
            except TransientError as error:
                logger.warning("{}: {}", self.name, error)
            await wait(stopping, self._interval)

    async def restore_if_lost(self) -> bool:
        """Rebuild what is lost; returns whether anything was. Several copies may do it at once. Raises
        `TransientError`."""
        if await self._quota.is_intact():
            return False
        settlements = [_settlement(key, total) for key, total in await self._books.all_totals()]
        for first in range(0, len(settlements), CHUNK):
            await self._quota.restore(settlements[first : first + CHUNK])
        epoch = str(self._make_id())
        await self._quota.mark_intact(epoch)
        logger.warning("{}: {} totals restored, epoch {}", self.name, len(settlements), epoch)
        return True


def _settlement(key: TotalKey, total: Total) -> Settlement:
    scope = Scope(str(key.tenant_id), key.meter, key.window.value, key.window_start)
    return Settlement(scope, key.partition, total.total, total.hi)
