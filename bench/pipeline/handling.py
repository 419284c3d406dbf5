"""Inbox, handler and outbox beside the same SQL by hand: same batches, one transaction each, one upsert a message.

The records come from memory, so that Kafka is no part of it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import text

from bench.ground import Ground, execute
from bench.pipeline.bare_handling import BareHandling
from bench.pipeline.messages import SOURCE, Answered, Asked, records
from bench.rounds import compare
from bench.stages import Measured, Stopwatch
from schemas.envelope import Event
from services.kit.checkpoints import Checkpoint
from services.kit.clock import SystemClock
from services.kit.messaging.dead_letters import DeadLetters
from services.kit.messaging.dispatch import Dispatcher, Handler
from services.kit.messaging.origin import Origin
from services.kit.messaging.producer import ProducerBridge
from services.kit.messaging.record import Record
from services.kit.persistence.database import Database, schema_of
from services.kit.persistence.outbox import channel_of
from services.kit.persistence.unit_of_work import UnitOfWork

AIM = 0.5
GROUP = "bench"
TABLES = "CREATE TABLE effect (name text PRIMARY KEY, number int NOT NULL, times int NOT NULL)"
UPSERT = """
INSERT INTO effect AS e VALUES ({}, {}, 1)
ON CONFLICT (name) DO UPDATE SET number = excluded.number, times = e.times + 1
"""
KIT_UPSERT = text(UPSERT.format(":name", ":number"))
BARE_UPSERT = UPSERT.format("$1", "$2")
EMPTY = (
    "DELETE FROM inbox; DELETE FROM inbox_position; DELETE FROM outbox; DELETE FROM outbox_sequence; DELETE FROM effect"
)
EFFECTS = "SELECT (SELECT sum(times) FROM effect) AS upserts, (SELECT count(*) FROM outbox) AS answers"
VACUUM = "VACUUM inbox, inbox_position, outbox, outbox_sequence, effect"

STAGES = {
    Checkpoint.BEFORE_CLAIM: "read",
    Checkpoint.AFTER_CLAIM: "claim",
    Checkpoint.AFTER_SAVE: "handlers",
    Checkpoint.AFTER_OUTBOX: "outbox",
    Checkpoint.AFTER_COMMIT: "commit",
}
"""The kit's own checkpoints bound the stages; the hand-written side marks the same places."""

Process = Callable[[Sequence[Record]], Awaitable[None]]


async def measure(ground: Ground, *, count: int, batch: int, rounds: int, on_driver: bool = False) -> Measured:
    """Messages per second through transactions of `batch` messages each.

    `on_driver`: the kit's handler does its upsert on the driver instead of SQLAlchemy, which shows what that costs.
    """
    watches = Stopwatch(), Stopwatch()
    async with (
        _kit(ground, watches[0], answer_on_driver if on_driver else answer) as kit,
        _bare(ground, watches[1]) as bare,
    ):

        async def by_kit() -> float:
            return await _round(ground, kit, watches[0], count, batch)

        async def by_hand() -> float:
            return await _round(ground, bare, watches[1], count, batch)

        comparison = await compare(by_kit, by_hand, rounds=rounds, aim=AIM)
    handled = count * (rounds + 1)  # the watches saw the warm-up round too
    return Measured(comparison, *(watch.per_message(handled) for watch in watches))


async def _round(ground: Ground, process: Process, watch: Stopwatch, count: int, batch: int) -> float:
    """Handle `count` new messages; the tables are emptied first, so that no round inherits another's."""
    await execute(ground.owner_dsn, EMPTY, VACUUM)
    arrived = records(count)
    watch.restart()
    started = time.perf_counter()
    for first in range(0, count, batch):
        await process(arrived[first : first + batch])
    seconds = time.perf_counter() - started
    assert await _effects(ground) == (count, count), "not every message had its effect and its answer"
    return count / seconds


async def _effects(ground: Ground) -> tuple[int, int]:
    """Upserts that were committed, and answers in the outbox."""
    connection = await asyncpg.connect(ground.dsn)
    try:
        row = await connection.fetchrow(EFFECTS)
    finally:
        await connection.close()
    return row["upserts"], row["answers"]


@asynccontextmanager
async def _kit(ground: Ground, watch: Stopwatch, handler: Handler) -> AsyncIterator[Process]:
    """The kit's way to handle a batch."""

    def reached(checkpoint: Checkpoint) -> None:
        watch.mark(STAGES[checkpoint])

    database = Database(ground.dsn, SOURCE, reached=reached)
    producer = ProducerBridge(ground.bootstrap, "bench")  # for dead letters, of which there are none
    dead_letters = DeadLetters(producer, GROUP, SystemClock())
    try:
        yield Dispatcher(database, GROUP, {Asked: handler}, dead_letters, SystemClock(), reached=reached).process
    finally:
        await producer.close()
        await database.close()


@asynccontextmanager
async def _bare(ground: Ground, watch: Stopwatch) -> AsyncIterator[Process]:
    """The hand-written way."""
    connection = await asyncpg.connect(ground.dsn)
    channel = channel_of(schema_of(ground.dsn))
    try:
        yield BareHandling(connection, GROUP, BARE_UPSERT, channel, watch).process
    finally:
        await connection.close()


async def answer(event: Event[Asked], work: UnitOfWork) -> None:
    """The kit's handler, as the services have them: one upsert, one event."""
    await work.connection.execute(KIT_UPSERT, {"name": event.data.name, "number": event.data.number})
    work.emit(Answered(name=event.data.name, number=event.data.number), Origin.of(event))


async def answer_on_driver(event: Event[Asked], work: UnitOfWork) -> None:
    """The same, with the statement straight on the driver."""
    driver = await work.driver()
    await driver.execute(BARE_UPSERT, event.data.name, event.data.number)
    work.emit(Answered(name=event.data.name, number=event.data.number), Origin.of(event))
