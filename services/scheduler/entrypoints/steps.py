"""The steps of a batch: inputs applied one after another to a snapshot, each at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Histogram

from schemas.capacity import CapacityQuestion, TimePassed
from schemas.tenant import PLATFORM_TENANT
from services.kit.clock import Clock
from services.kit.observability import metrics
from services.scheduler.domain.apply import apply
from services.scheduler.domain.decision import Outcome
from services.scheduler.domain.model import Cause, Input
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.ports import Pending

BUDGET = timedelta(seconds=1)
"""A batch ends early after this, so that nobody waits long for what was decided."""
SLICE_SECONDS = 0.01
"""How long the loop may wait for steps that are taken on it."""


class InapplicableError(Exception):
    """Applying an input failed, and left the snapshot and the transaction half changed: neither can be used."""

    def __init__(self, item: Pending, error: Exception) -> None:
        super().__init__(f"input {item.id}: {error}")
        self.item = item
        self.error = error


@dataclass(frozen=True, slots=True)
class Step:
    """One input that was applied to the snapshot, and what came of it."""

    item_id: int | None
    """The `Pending.id`; None of the passing of time."""
    entry: Input
    number: int
    """Of the input, in the pool's order."""
    at: datetime
    """The time that it was applied at, UTC."""
    outcomes: tuple[Outcome, ...]


async def take_steps(snapshot: Snapshot, pending: Sequence[Pending], clock: Clock) -> list[Step]:
    """Apply what is due by time, then the inputs, until the budget is spent. Raises `InapplicableError`.

    The loop goes on meanwhile: it talks to Kafka and Postgres, and renews the lease. While nobody waits or asks, every
    step is short, and slices of them are taken on the loop: a thread would have to win the interpreter's lock from it
    again and again, which took four times as long. A question, or what many wait for, may take seconds: that is for a
    thread.
    """
    left, taken = _steps(snapshot, pending, clock), list[Step]()
    is_asked = any(isinstance(item.entry.data, CapacityQuestion) for item in pending)
    while True:
        steps, is_done = await asyncio.to_thread(_slice, left) if is_asked or len(snapshot.queue) else _slice(left)
        taken += steps
        if is_done:
            return taken
        await asyncio.sleep(0)


def _slice(left: Iterator[Step]) -> tuple[list[Step], bool]:
    """What can be taken in a moment, and whether that was all."""
    ends, steps = time.perf_counter() + SLICE_SECONDS, list[Step]()
    for step in left:
        steps.append(step)
        if time.perf_counter() >= ends:
            return steps, False
    return steps, True


def _steps(snapshot: Snapshot, pending: Sequence[Pending], clock: Clock) -> Iterator[Step]:
    started, seconds = clock.now(), metrics.DECIDE_SECONDS.labels(snapshot.pool)
    due = snapshot.next_due()
    has_stepped = due is not None and due <= started
    if has_stepped:
        yield _step(snapshot, None, passing_of_time(snapshot.pool), started, seconds)
    for item in pending:
        now = clock.now()
        if has_stepped and now - started > BUDGET:
            return
        try:
            step = _step(snapshot, item.id, item.entry, now, seconds)
        except Exception as error:
            raise InapplicableError(item, error) from error
        has_stepped = True
        yield step


def passing_of_time(pool: str) -> Input:
    """The input that nobody recorded."""
    return Input(TimePassed(pool=pool), PLATFORM_TENANT, Cause("", ""))


def _step(snapshot: Snapshot, item_id: int | None, entry: Input, now: datetime, seconds: Histogram) -> Step:
    began = time.perf_counter()
    outcomes = apply(snapshot, entry, now)
    seconds.observe(time.perf_counter() - began)
    return Step(item_id, entry, snapshot.applied, snapshot.now, tuple(outcomes))
