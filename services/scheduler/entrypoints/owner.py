"""The owner of a pool: applies its inputs in batches, one transaction a batch, under the pool's lease.

An input that cannot be read or applied is set aside with its reason, and the next ones go on: were it tried for ever,
one message would stop the pool.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from loguru import logger

from schemas.envelope import Event
from schemas.placement import DecisionRecord
from services.kit.clock import Clock
from services.kit.messaging.dead_letters import TripWire
from services.kit.messaging.dispatch import UnitsOfWork
from services.kit.messaging.origin import Origin
from services.kit.observability import metrics, tracing
from services.kit.persistence.leases import Lease
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.apply import apply
from services.scheduler.domain.decision import Decided, Numbered, Outcome, Released
from services.scheduler.domain.events import event_of
from services.scheduler.domain.model import Cause
from services.scheduler.domain.policies import Policy
from services.scheduler.domain.snapshot import Snapshot
from services.scheduler.ports import Applied, Pending, PoolStore, Recorded, SetAside

ACTOR = "service:scheduler"
"""Who decides, whoever asked: that stands in the cause."""
LONGEST = 1000
"""Characters of a reason."""
BUDGET = timedelta(seconds=1)
"""A batch ends early after this, so that nobody waits long for what was decided."""


class _InapplicableError(Exception):
    """Applying an input failed, and left the snapshot and the transaction half changed: neither can be used."""

    def __init__(self, item: Pending, error: Exception) -> None:
        super().__init__(f"input {item.id}: {error}")
        self.item = item
        self.error = error


@dataclass(frozen=True, slots=True)
class _Step:
    """One input that was applied to the snapshot, and what came of it."""

    item: Pending
    number: int
    """Of the input, in the pool's order."""
    outcomes: tuple[Outcome, ...]
    decided_at: datetime


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
        self._trip_wire = TripWire()

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
        """Apply one batch of inputs; when there may be more, wake the loop again.

        Raises `LeaseLostError`, and `TripWireError` when so many could not be applied that this release must be bad.
        """
        try:
            more = await self._apply_batch(lease)
        except _InapplicableError as failed:
            more = True
            await self._refuse(lease, failed)
        if more:
            self._wake.set()

    async def _apply_batch(self, lease: Lease) -> bool:
        """Whether more inputs may wait. The snapshot is forgotten first: only a commit makes its changes true."""
        snapshot, self._snapshot = self._snapshot, None
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            if snapshot is None:
                snapshot = await self._store.load(work, self.pool)
            pending = await self._store.pending(work, self.pool, self._batch_size)
            readable = [item for item in pending if isinstance(item, Pending)]
            snapshot.closed = await self._store.closed(work, self.pool, [item.entry for item in readable])
        unreadable = [item for item in pending if isinstance(item, SetAside)]
        applied = await self._take_up(lease, snapshot, readable, unreadable) if pending else 0
        self._snapshot = snapshot
        _report_failed_retries(snapshot)
        metrics.QUEUE_LENGTH.labels(self.pool).set(len(snapshot.queue))
        return applied < len(readable) or len(pending) == self._batch_size

    async def _take_up(
        self, lease: Lease, snapshot: Snapshot, readable: list[Pending], unreadable: list[SetAside]
    ) -> int:
        """Decide on what was read, and store it; returns how many inputs were applied.

        Deciding lies between two transactions, and in a thread: one that takes long, such as a release that many wait
        for, must neither hold locks nor keep the lease from being renewed.
        """
        decided = await asyncio.to_thread(self._decide, snapshot, readable)
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            await self._set_aside(work, unreadable)
            applied = [self._applied(work, snapshot, step) for step in decided]
            if applied:
                await self._store.save(work, snapshot, applied)
        for _ in applied:
            self._trip_wire.passed()
        return len(applied)

    async def _refuse(self, lease: Lease, failed: _InapplicableError) -> None:
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

    def _decide(self, snapshot: Snapshot, pending: list[Pending]) -> list[_Step]:
        started = self._clock.now()
        steps: list[_Step] = []
        for item in pending:
            began = time.perf_counter()
            try:
                outcomes = apply(snapshot, item.entry, self._policy)
            except Exception as error:
                raise _InapplicableError(item, error) from error
            metrics.DECIDE_SECONDS.labels(self.pool).observe(time.perf_counter() - began)
            now = self._clock.now()
            steps.append(_Step(item, snapshot.applied, tuple(outcomes), now))
            if now - started > BUDGET:
                break
        return steps

    def _applied(self, work: UnitOfWork, snapshot: Snapshot, step: _Step) -> Applied:
        numbered = [outcome for outcome in step.outcomes if isinstance(outcome, Decided | Released)]
        return Applied(
            id=step.item.id,
            tenant_id=step.item.entry.tenant_id,
            number=step.number,
            changes=tuple(outcome for outcome in step.outcomes if not isinstance(outcome, Decided | Released)),
            recorded=tuple(self._say(work, snapshot, outcome, step.decided_at) for outcome in numbered),
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
