"""The owner of a pool: applies its inputs in batches, one transaction a batch, under the pool's lease.

An input that cannot be read or applied is set aside with its reason, and the next ones go on: were it tried for ever,
one message would stop the pool.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from loguru import logger

from schemas.capacity import QueueReported
from services.kit.clock import Clock
from services.kit.messaging.dead_letters import TripWire
from services.kit.messaging.dispatch import UnitsOfWork
from services.kit.observability import metrics
from services.kit.persistence.leases import Lease
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.policies import Policy
from services.scheduler.domain.pool.snapshot import LONG_AGO, Snapshot
from services.scheduler.domain.questions.report import report
from services.scheduler.entrypoints.reading import Batch, BatchReader
from services.scheduler.entrypoints.saying import Speaker
from services.scheduler.entrypoints.steps import InapplicableError, Step, take_steps
from services.scheduler.ports import PoolStore, SetAside

LONGEST = 1000
"""Characters of a reason."""
REPORT_EVERY = timedelta(seconds=2)
"""How often the state of the queue is told while it changes."""


def lease_name(pool: str) -> str:
    """The lease that makes a process the owner of the pool."""
    return f"pool:{pool}"


class PoolOwner:
    """Decides for one pool while its process holds the lease."""

    def __init__(
        self,
        pool: str,
        policy: Policy,
        database: UnitsOfWork,
        store: PoolStore,
        clock: Clock,
        wake: asyncio.Event,
        *,
        batch_size: int = 200,
    ) -> None:
        self.pool = pool
        self._policy = policy
        self._database = database
        self._store = store
        self._clock = clock
        self._wake = wake
        self._reader = BatchReader(pool, database, store, batch_size)
        self._speaker = Speaker(pool, policy.name, policy.version)
        self._snapshot: Snapshot | None = None
        self._reported_at = LONG_AGO
        self._reported_length = 0
        self._is_reported = True
        """Whether the last report of the queue is true still."""
        self._trip_wire = TripWire()

    async def take_over(self, lease: Lease) -> None:
        """Forget what an earlier epoch knew and load the pool from the store. Raises `LeaseLostError`."""
        self._snapshot = None
        self._snapshot = snapshot = await self._load(lease)
        self._is_reported = False
        logger.info(
            "pool {}: taken over at decision {} with {} nodes, {} reservations, {} waiting",
            self.pool,
            snapshot.decided,
            len(snapshot.cluster),
            len(snapshot.reservations),
            len(snapshot.queue),
        )

    def let_go(self) -> None:
        """Show nothing more, and read nothing: the pool has, or will have, another owner."""
        self._reader.forget()
        metrics.QUEUE_LENGTH.remove(self.pool)

    async def tick(self, lease: Lease) -> None:
        """Apply one batch of inputs; when there may be more, wake the loop again.

        Raises `LeaseLostError`, and `TripWireError` when so many could not be applied that this release must be bad.
        """
        try:
            more = await self._apply_batch(lease)
        except InapplicableError as failed:
            more = True
            await self._refuse(lease, failed)
        if more:
            self._wake.set()

    async def _apply_batch(self, lease: Lease) -> bool:
        """Whether more inputs may wait. The snapshot is forgotten first: only a commit makes its changes true."""
        snapshot, self._snapshot = self._snapshot or await self._load(lease), None
        batch = await self._reader.next()
        snapshot.closed = batch.closed_with(snapshot.closed)
        applied, due = 0, snapshot.next_due()
        if batch.ids or not self._is_reported or (due is not None and due <= self._clock.now()):
            applied = await self._take_up(lease, snapshot, batch)
        self._snapshot = snapshot
        _report_failed_retries(snapshot)
        metrics.QUEUE_LENGTH.labels(self.pool).set(len(snapshot.queue))
        return applied < len(batch.readable) or batch.is_full or self._reader.is_ahead

    async def _load(self, lease: Lease) -> Snapshot:
        self._reader.forget()
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            build = await self._store.load(work, self.pool, self._policy)
        return await asyncio.to_thread(build)

    async def _take_up(self, lease: Lease, snapshot: Snapshot, batch: Batch) -> int:
        """Decide on what was read, and store it; returns how many inputs were applied.

        Deciding lies between two transactions: it may take long, and must hold no locks.
        """
        steps = await take_steps(snapshot, batch.readable, self._clock)
        queue = await self._queue_to_report(snapshot, has_changed=bool(steps))
        taken = sum(step.item_id is not None for step in steps)
        if taken == len(batch.readable) and (batch.is_full or self._wake.is_set()):
            self._reader.read_ahead(batch)
        await self._store_steps(lease, snapshot, steps, batch.unreadable, queue)
        snapshot.settled()
        if queue is not None:
            self._reported_at, self._reported_length, self._is_reported = self._clock.now(), queue.length, True
        for _ in steps:
            self._trip_wire.passed()
        return taken

    async def _store_steps(
        self,
        lease: Lease,
        snapshot: Snapshot,
        steps: list[Step],
        unreadable: list[SetAside],
        queue: QueueReported | None,
    ) -> None:
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            await self._set_aside(work, unreadable)
            applied = self._speaker.tell(work, snapshot, steps)
            if queue is not None:
                self._speaker.report(work, snapshot, queue)
            if applied:
                await self._store.save(work, snapshot, applied)

    async def _queue_to_report(self, snapshot: Snapshot, *, has_changed: bool) -> QueueReported | None:
        """Who waits, when that may have changed and was not told just now. That a queue is empty is told once."""
        if has_changed and (len(snapshot.queue) or self._reported_length):
            self._is_reported = False
        if self._is_reported or self._clock.now() - self._reported_at < REPORT_EVERY:
            return None
        return await asyncio.to_thread(report, snapshot)

    async def _refuse(self, lease: Lease, failed: InapplicableError) -> None:
        """Set aside the input on which a batch failed; what came before it in the batch is applied again."""
        self._trip_wire.check()
        item, error = failed.item, failed.error
        reason = f"{type(error).__name__}: {error}"[:LONGEST]
        refused = SetAside(item.id, item.entry.tenant_id, item.entry.cause, type(error).__name__, reason)
        logger.opt(exception=error).error("pool {}: a {} cannot be applied", self.pool, item.entry.data.type)
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            await self._set_aside(work, [refused])
        self._trip_wire.set_aside()

    async def _set_aside(self, work: UnitOfWork, inputs: list[SetAside]) -> None:
        if inputs:
            await self._store.set_aside(work, inputs)
            work.after_commit(partial(_report_set_aside, self.pool, inputs))


def _report_failed_retries(snapshot: Snapshot) -> None:
    """Count and log them, and take them from the snapshot."""
    for request, error in snapshot.failed_retries:
        metrics.FAILED_RETRIES.labels(snapshot.pool, type(error).__name__).inc()
        logger.bind(tenant=str(request.tenant_id), deployment=str(request.deployment_id)).opt(exception=error).error(
            "pool {}: reservation {} cannot be tried; it goes on waiting", snapshot.pool, request.reservation_id
        )
    snapshot.failed_retries.clear()


def _report_set_aside(pool: str, inputs: list[SetAside]) -> None:
    """Count and log what was committed."""
    for item in inputs:
        metrics.INPUTS_SET_ASIDE.labels(pool, item.error_type).inc()
        logger.bind(tenant=str(item.tenant_id), event_id=item.cause.input_id).error(
            "pool {}: input {} ({}) is set aside: {}", pool, item.id, item.cause.input_position, item.reason
        )
