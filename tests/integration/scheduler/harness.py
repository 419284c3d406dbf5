"""Runs scheduler processes on the real parts, tells them things through Kafka, and reads what they say."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from infra.local.stack import Addresses
from schemas.base import EventData
from schemas.envelope import Event, decode, encode
from schemas.placement import PlacementEvent
from schemas.topics import PLACEMENT_EVENTS
from services.kit.ids import new_id
from services.kit.messaging.record import record_of
from tests.fakes.scheduler.builders import NOW
from tests.fakes.scheduler.postgres import SchedulerDatabase

ROOT = Path(__file__).resolve().parents[3]


class Listening:
    """What schedulers say about placements, from now on."""

    def __init__(self, bootstrap: str) -> None:
        self.heard: list[Event[Any]] = []
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"read-{new_id()}"})
        partitions = [TopicPartition(PLACEMENT_EVENTS.name, number) for number in range(PLACEMENT_EVENTS.partitions)]
        for partition in partitions:
            partition.offset = self._end_of(partition)
        self._consumer.assign(partitions)

    def about(self, reservation_id: UUID, *, count: int = 1, seconds: float = 20) -> list[PlacementEvent]:
        """The first `count` events about the reservation; fails when they do not come in time."""
        deadline = time.monotonic() + seconds
        while len(found := self._about(reservation_id)) < count:
            assert time.monotonic() < deadline, f"only {found} about {reservation_id}"
            message = self._consumer.poll(0.2)
            if message is not None and message.error() is None:
                record = record_of(message)
                event = decode(record.headers, record.value)
                if event.id not in {each.id for each in self.heard}:  # the relay of a killed process may repeat itself
                    self.heard.append(event)
        return found

    def _about(self, reservation_id: UUID) -> list[PlacementEvent]:
        return [event.data for event in self.heard if event.data.reservation_id == reservation_id]

    def _end_of(self, partition: TopicPartition) -> int:
        """Where its log ends now; a topic that was just created has no leader for a moment."""
        for _ in range(50):
            try:
                return int(self._consumer.get_watermark_offsets(partition, timeout=10)[1])
            except KafkaException:
                time.sleep(0.1)
        raise AssertionError(f"{partition} has no leader")

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()


@dataclass
class Platform:
    """One test's pool, database and scheduler processes."""

    addresses: Addresses
    database: SchedulerDatabase
    pool: str
    log: Path
    listening: Listening
    producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        self.producer = Producer(
            {"bootstrap.servers": self.addresses.kafka_bootstrap, "partitioner": "murmur2_random", "linger.ms": 0}
        )

    def tell(self, *messages: EventData, tenant_id: UUID | None = None) -> list[str]:
        """Produce events as another service would; returns their ids."""
        ids = []
        for data in messages:
            event = Event(str(new_id()), "/taxiway/test", NOW, data, str(tenant_id) if tenant_id else None, "user:ann")
            value, headers = encode(event)
            self.producer.produce(data.topic, value, data.key, headers=list(headers))
            ids.append(event.id)
        assert self.producer.flush(20) == 0
        return ids

    def start(self, instance: str = "0") -> subprocess.Popen[bytes]:
        """A scheduler process of this platform."""
        environment = os.environ | {
            "TAXIWAY_KAFKA_BOOTSTRAP": self.addresses.kafka_bootstrap,
            "TAXIWAY_REDIS_URL": self.addresses.redis_url,
            "TAXIWAY_INSTANCE": instance,
            "TAXIWAY_SESSION_TIMEOUT_SECONDS": "6",
            "TAXIWAY_SCHEDULER_POSTGRES_DSN": self.database.worker_dsn,
            "TAXIWAY_SCHEDULER_POOLS": f'["{self.pool}"]',
            "TAXIWAY_SCHEDULER_INTERVAL_SECONDS": "60",  # what is not woken comes too late
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "services.scheduler"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    @contextmanager
    def running(self, instance: str = "0") -> Iterator[subprocess.Popen[bytes]]:
        """A process for the length of the block; unless it was killed in it, SIGTERM must end it cleanly."""
        process = self.start(instance)
        try:
            yield process
        except BaseException:
            process.kill()
            process.wait()
            print(self.log.read_text()[-6000:], file=sys.stderr)  # noqa: T201
            raise
        if process.poll() is None:
            process.terminate()
            assert process.wait(timeout=40) == 0, self.log.read_text()[-4000:]

    def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of the scheduler's database."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.database.worker_dsn)
            try:
                return list(await connection.fetch(query, *arguments))
            finally:
                await connection.close()

        return asyncio.run(run())

    def places(self) -> list[tuple[str, list[int]]]:
        """Node and devices of each pod that the pool has reserved."""
        rows = self.fetch("SELECT allocations::text FROM reservations WHERE pool = $1", self.pool)
        return [(each["node"], each["devices"]) for row in rows for each in json.loads(row["allocations"])]

    def holder(self) -> str:
        """Instance of the process that holds the pool's lease now; empty when none does."""
        rows = self.fetch("SELECT holder FROM lease WHERE name = $1 AND expires_at > now()", f"pool:{self.pool}")
        return rows[0]["holder"].partition("@")[0].removeprefix("scheduler-") if rows else ""


def eventually(check: Callable[[], bool], seconds: float = 40, say: str = "it did not happen") -> None:
    """Wait for what another process does in its own time."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, say
        time.sleep(0.05)
