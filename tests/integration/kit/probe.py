"""A small real process on the kit, for crash tests: it handles `Asked`, saves an effect and says `Answered`.

It runs as `python -m tests.integration.kit.probe` with its configuration in the environment, and sends itself
`PROBE_SIGNAL` (SIGKILL) when it passes the checkpoint `PROBE_CRASH_AT` for the `PROBE_CRASH_ON`-th time.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from sqlalchemy import text

from schemas.base import EventData
from schemas.envelope import Event
from services.kit.checkpoints import Checkpoint, Reached
from services.kit.clock import SystemClock
from services.kit.messaging.consumer import ConsumerLoop, consumer_settings
from services.kit.messaging.dead_letters import DeadLetters
from services.kit.messaging.dispatch import Dispatcher
from services.kit.messaging.origin import Origin
from services.kit.messaging.producer import ProducerBridge
from services.kit.persistence.database import Database
from services.kit.persistence.lease_loop import LeaseLoop
from services.kit.persistence.leases import Lease
from services.kit.persistence.relay import Relay
from services.kit.persistence.unit_of_work import UnitOfWork
from services.kit.service import Component, Service

RUN = os.environ.get("PROBE_RUN", "none")
"""Separates the topics of one test from those of another."""


class ProbeEvent(EventData):
    """What the probe reads and says, keyed by `name`."""

    name: str
    number: int

    @property
    def key(self) -> str:
        """The name."""
        return self.name


class Asked(ProbeEvent):
    """Something to handle."""

    type: ClassVar[str] = "test.asked.v1"
    topic: ClassVar[str] = f"probe.{RUN}.asked"


class Answered(ProbeEvent):
    """What handling it said."""

    type: ClassVar[str] = "test.answered.v1"
    topic: ClassVar[str] = f"probe.{RUN}.answered"


TABLES = """
CREATE TABLE effect (id text PRIMARY KEY, times int NOT NULL);
CREATE TABLE work (id text PRIMARY KEY, name text NOT NULL, number int NOT NULL)
"""
SAVE = text("INSERT INTO effect AS e VALUES (:id, 1) ON CONFLICT (id) DO UPDATE SET times = e.times + 1")
ENQUEUE = text("INSERT INTO work VALUES (:id, :name, :number)")
TAKE = text("DELETE FROM work WHERE id IN (SELECT id FROM work ORDER BY number LIMIT 5) RETURNING id, name, number")


async def answer(event: Event[Asked], work: UnitOfWork) -> None:
    """Save the effect and say so."""
    await work.connection.execute(SAVE, {"id": event.id})
    work.emit(Answered(name=event.data.name, number=event.data.number), Origin.of(event))


async def enqueue(event: Event[Asked], work: UnitOfWork) -> None:
    """Leave the work to the lease's holder."""
    await work.connection.execute(ENQUEUE, {"id": event.id, **event.data.model_dump()})


class Owner:
    """Does the work of the lease, five rows a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tick(self, lease: Lease) -> None:
        """One batch under the fence."""
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            for row in (await work.connection.execute(TAKE)).all():
                await work.connection.execute(SAVE, {"id": row.id})
                work.emit(Answered(name=row.name, number=row.number), Origin(None, "owner", row.id, row.id))


def crash_at(name: str | None, on: int, number: signal.Signals) -> Reached:
    """A checkpoint callback that sends this process a signal at the `on`-th passing of `name`."""
    passed: Counter[Checkpoint] = Counter()

    def reached(checkpoint: Checkpoint) -> None:
        passed[checkpoint] += 1
        if checkpoint == name and passed[checkpoint] == on:
            os.kill(os.getpid(), number)

    return reached


def components(database: Database, producer: ProducerBridge, reached: Reached) -> Sequence[Component]:
    """Relay, consumer, and with `PROBE_MODE=lease` the owner."""
    group = f"probe.{RUN}"
    bootstrap = os.environ["PROBE_KAFKA"]
    by_lease = os.environ.get("PROBE_MODE") == "lease"
    dispatcher = Dispatcher(
        database,
        group,
        {Asked: enqueue if by_lease else answer},
        DeadLetters(producer, group, SystemClock()),
        SystemClock(),
        reached=reached,
    )
    settings = consumer_settings(bootstrap, group, os.environ.get("PROBE_INSTANCE", "0"), 6)
    consumer = ConsumerLoop(settings, [Asked.topic], dispatcher.process, batch=7, reached=reached)
    owner = LeaseLoop(database, "probe", f"pid {os.getpid()}", Owner(database).tick, interval=0.05, reached=reached)
    return [
        Relay(database, producer, batch=5, frozen_seconds=3, reached=reached),
        consumer,
        *([owner] if by_lease else []),
    ]


async def main() -> int:
    """Run until SIGTERM, or until the checkpoint."""
    number = signal.Signals[os.environ.get("PROBE_SIGNAL", "SIGKILL")]
    reached = crash_at(os.environ.get("PROBE_CRASH_AT"), int(os.environ.get("PROBE_CRASH_ON", "1")), number)
    database = Database(os.environ["PROBE_DSN"], "/test/probe", reached=reached)
    producer = ProducerBridge(os.environ["PROBE_KAFKA"], "probe")
    service = Service("probe", components(database, producer, reached), close=[producer.close, database.close])
    return await service.run()


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
