"""The owner of a pool: applies its inputs in batches, one transaction a batch, under the pool's lease."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from loguru import logger

from schemas.envelope import Event
from schemas.placement import DecisionRecord
from services.kit.clock import Clock
from services.kit.messaging.dispatch import UnitsOfWork
from services.kit.messaging.origin import Origin
from services.kit.observability import metrics, tracing
from services.kit.persistence.leases import Lease
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.apply import apply
from services.scheduler.domain.decision import Decided, Numbered, Released
from services.scheduler.domain.events import event_of
from services.scheduler.domain.model import Cause
from services.scheduler.domain.policies import Policy
from services.scheduler.domain.snapshot import Snapshot
from services.scheduler.ports import Applied, Pending, PoolStore, Recorded

ACTOR = "service:scheduler"
"""Who decides, whoever asked: that stands in the cause."""
BUDGET = timedelta(seconds=1)
"""A batch ends early after this: its transaction keeps the lease from being renewed, and that expires after 6 s."""


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
        self._batch_size = batch_size
        self._snapshot: Snapshot | None = None

    async def take_over(self, lease: Lease) -> None:
        """Forget what an earlier epoch knew and load the pool from the store. Raises `LeaseLostError`."""
        self._snapshot = None
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            snapshot = await self._store.load(work, self.pool)
        self._snapshot = snapshot
        logger.info(
            "pool {}: taken over at decision {} with {} nodes, {} reservations, {} waiting",
            self.pool,
            snapshot.decided,
            len(snapshot.cluster),
            len(snapshot.reservations),
            len(snapshot.queue),
        )

    def let_go(self) -> None:
        """Show nothing more: the pool has, or will have, another owner."""
        metrics.QUEUE_LENGTH.remove(self.pool)

    async def tick(self, lease: Lease) -> None:
        """Apply one batch of inputs; when there may be more, wake the loop again. Raises `LeaseLostError`."""
        if await self._apply_batch(lease):
            self._wake.set()

    async def _apply_batch(self, lease: Lease) -> bool:
        """Whether more inputs may wait. The snapshot is forgotten first: only a commit makes its changes true."""
        snapshot, self._snapshot = self._snapshot, None
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            if snapshot is None:
                snapshot = await self._store.load(work, self.pool)
            pending = await self._store.pending(work, self.pool, self._batch_size)
            applied = await self._apply(work, snapshot, pending) if pending else []
        self._snapshot = snapshot
        metrics.QUEUE_LENGTH.labels(self.pool).set(len(snapshot.queue))
        return len(applied) < len(pending) or len(pending) == self._batch_size

    async def _apply(self, work: UnitOfWork, snapshot: Snapshot, pending: list[Pending]) -> list[Applied]:
        snapshot.closed = await self._store.closed(work, self.pool, [item.entry for item in pending])
        started = self._clock.now()
        applied: list[Applied] = []
        for item in pending:
            applied.append(self._apply_one(work, snapshot, item, self._clock.now()))
            if self._clock.now() - started > BUDGET:
                break
        await self._store.save(work, snapshot, applied)
        return applied

    def _apply_one(self, work: UnitOfWork, snapshot: Snapshot, item: Pending, now: datetime) -> Applied:
        started = time.perf_counter()
        outcomes = apply(snapshot, item.entry, self._policy)
        metrics.DECIDE_SECONDS.labels(self.pool).observe(time.perf_counter() - started)
        numbered = [outcome for outcome in outcomes if isinstance(outcome, Decided | Released)]
        return Applied(
            id=item.id,
            tenant_id=item.entry.tenant_id,
            number=snapshot.applied,
            changes=tuple(outcome for outcome in outcomes if not isinstance(outcome, Decided | Released)),
            recorded=tuple(self._say(work, snapshot, outcome, now) for outcome in numbered),
        )

    def _say(self, work: UnitOfWork, snapshot: Snapshot, outcome: Numbered, now: datetime) -> Recorded:
        """Number the outcome and emit its event, on behalf of what asked for it."""
        snapshot.decided += 1
        cause = outcome.cause if isinstance(outcome, Released) else outcome.request.cause
        record = self._record(snapshot.decided, cause, now)
        event = work.emit(event_of(outcome, record), Origin.from_json(cause.origin).by(ACTOR))
        work.after_commit(partial(_report, record, outcome, event))
        return Recorded(outcome, record)

    def _record(self, number: int, cause: Cause, now: datetime) -> DecisionRecord:
        return DecisionRecord(
            pool=self.pool,
            number=number,
            policy=self._policy.name,
            policy_version=self._policy.version,
            decided_at=now,
            input_id=cause.input_id,
            input_position=cause.input_position,
        )


def outcome_name(outcome: Numbered) -> str:
    """`placed`, `queued`, `rejected` or `released`."""
    return type(outcome if isinstance(outcome, Released) else outcome.decision).__name__.lower()


def _report(record: DecisionRecord, outcome: Numbered, event: Event[Any]) -> None:
    """Count what was committed, and log it in the trace of what asked for it."""
    name = outcome_name(outcome)
    subject = outcome if isinstance(outcome, Released) else outcome.request
    metrics.DECISIONS.labels(record.pool, name).inc()
    about = {"tenant": subject.tenant_id, "deployment": subject.deployment_id, "correlation_id": event.correlationid}
    with tracing.following(event.traceparent):
        logger.bind(**about).info(
            "pool {} decision {}: {} reservation {}", record.pool, record.number, name, subject.reservation_id
        )
