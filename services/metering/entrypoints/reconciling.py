"""Compares raw samples with totals, every now and then: the drift must be 0."""

from __future__ import annotations

from datetime import timedelta

from loguru import logger

from services.kit.clock import Clock
from services.kit.observability import metrics
from services.kit.persistence.leases import Lease
from services.metering.ports import Books

LEASE = "metering reconciliation"
"""One copy compares at a time; more would only cost the database."""


class Reconciler:
    """Publishes the drift of the last days as a metric."""

    def __init__(self, books: Books, clock: Clock, days: int) -> None:
        self._books = books
        self._clock = clock
        self._days = days

    def let_go(self) -> None:
        """Show nothing more: another copy compares now."""
        metrics.METERING_DRIFT.clear()

    async def tick(self, _: Lease) -> None:
        """One comparison; raises `TransientError`."""
        since = self._clock.now().date() - timedelta(days=self._days - 1)
        for meter, drift in (await self._books.drift(since)).items():
            metrics.METERING_DRIFT.labels(meter).set(drift)
            if drift:
                logger.error("drift: raw samples and totals of {} are {} apart since {}", meter, drift, since)
