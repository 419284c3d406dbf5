"""The component that does one owner's work: competes for a lease, renews it, and ticks while it holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loguru import logger

from services.kit.checkpoints import Checkpoint, Reached, pass_by
from services.kit.errors import LeaseLostError, TransientError
from services.kit.observability import metrics
from services.kit.observability.health import Heartbeat
from services.kit.persistence.database import Database
from services.kit.persistence.leases import Lease, acquire, release, renew
from services.kit.waiting import wait

RENEW_SECONDS = 2.0
RETRY_SECONDS = 1.0
"""With the lease's six seconds: a dead holder is replaced within ten."""

Tick = Callable[[Lease], Awaitable[None]]


class LeaseLoop:
    """A component that does one owner's work: holds the lease, and calls `tick` when woken or every `interval` s."""

    def __init__(
        self,
        database: Database,
        name: str,
        holder: str,
        tick: Tick,
        *,
        interval: float = 1.0,
        wake: asyncio.Event | None = None,
        took_over: Tick | None = None,
        on_release: Callable[[], None] | None = None,
        reached: Reached = pass_by,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.name = f"lease {name}"
        self._database = database
        self._lease_name = name
        self._holder = holder
        self._tick = tick
        self._interval = interval
        self._wake = wake or asyncio.Event()
        self._took_over = took_over
        self._on_release = on_release
        self._reached = reached
        self._heartbeat = heartbeat or Heartbeat(self.name)

    async def run(self, stopping: asyncio.Event) -> None:
        """Compete for the lease until `stopping`; what goes wrong while holding it costs the lease, not the process."""
        stopper = asyncio.create_task(_set_when(stopping, self._wake))
        try:
            while not stopping.is_set():
                self._heartbeat.beat()
                try:
                    lease = await acquire(self._database, self._lease_name, self._holder)
                    if lease is not None:
                        await self._hold(lease, stopping)
                    else:
                        await wait(stopping, RETRY_SECONDS)
                except (LeaseLostError, TransientError) as error:
                    if isinstance(error, LeaseLostError):
                        metrics.LEASES_LOST.labels(self._lease_name).inc()
                    logger.warning("{}: {}; competing for it again", self.name, error)
                    await wait(stopping, RETRY_SECONDS)
                except Exception as error:  # another copy, another release or a person may do better: give it back
                    logger.opt(exception=error).error("{}: failed; competing for it again", self.name)
                    metrics.LEASES_FAILED.labels(self._lease_name).inc()
                    await wait(stopping, RETRY_SECONDS)
        finally:
            stopper.cancel()

    async def _hold(self, lease: Lease, stopping: asyncio.Event) -> None:
        logger.info("{}: held by {} under epoch {}", self.name, lease.holder, lease.epoch)
        metrics.LEASES_TAKEN_OVER.labels(lease.name).inc()
        metrics.LEASES_HELD.labels(lease.name).set(1)
        self._reached(Checkpoint.LEASE_ACQUIRED)
        renewing = asyncio.create_task(self._keep(lease))
        working = asyncio.create_task(self._work(lease, stopping))
        try:
            await asyncio.wait({renewing, working}, return_when=asyncio.FIRST_COMPLETED)
            if renewing.done():
                renewing.result()
            await working
        finally:
            await _end(renewing, working)
            metrics.LEASES_HELD.labels(lease.name).set(0)
            if self._on_release is not None:
                self._on_release()
            if working.done() and not working.cancelled():
                await self._give_back(lease)

    async def _work(self, lease: Lease, stopping: asyncio.Event) -> None:
        if self._took_over is not None:
            await self._took_over(lease)
        while not stopping.is_set():
            self._wake.clear()
            self._heartbeat.beat()
            await self._tick(lease)
            self._reached(Checkpoint.LEASE_TICKED)
            if not stopping.is_set():
                self._heartbeat.rest(self._interval)
                await wait(self._wake, self._interval)

    async def _keep(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await renew(self._database, lease)

    async def _give_back(self, lease: Lease) -> None:
        try:
            await release(self._database, lease)
        except TransientError as error:
            logger.warning("{}: could not be given back, it will expire: {}", self.name, error)


async def _set_when(first: asyncio.Event, then: asyncio.Event) -> None:
    await first.wait()
    then.set()


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
