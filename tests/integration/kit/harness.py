"""Starts and kills probe processes, feeds them, and reads what became of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.kit.messaging.record import Record, record_of
from services.kit.persistence import roles
from services.kit.persistence.migrations import KIT_TABLES
from tests.integration.kit.probe import TABLES

PASSWORD = "probe"
PARTITIONS = 3


@dataclass(frozen=True)
class Probe:
    """One test's topics, database and probe processes."""

    run: str
    bootstrap: str
    dsn: str
    log: Path

    @property
    def asked(self) -> str:
        return f"probe.{self.run}.asked"

    @property
    def answered(self) -> str:
        return f"probe.{self.run}.answered"

    def start(self, **settings: str) -> subprocess.Popen[bytes]:
        """A probe process; settings become `PROBE_<NAME>`."""
        environment = os.environ | {
            "PROBE_RUN": self.run,
            "PROBE_KAFKA": self.bootstrap,
            "PROBE_DSN": self.dsn,
            **{f"PROBE_{name.upper()}": value for name, value in settings.items()},
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.integration.kit.probe"], env=environment, stdout=log, stderr=log
            )

    @contextmanager
    def running(self, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """A probe process for the length of the block; SIGTERM at its end must drain it cleanly."""
        process = self.start(**settings)
        try:
            yield process
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.terminate()
        assert process.wait(timeout=40) == 0, self.log.read_text()[-4000:]

    def ask(self, numbers: range, *, names: int = 4, copies: Callable[[int], int] = lambda _: 1) -> list[str]:
        """Produce `Asked` events; returns their ids. `copies` tells how often each goes out on the wire."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random"})
        ids = []
        for number in numbers:
            event_id = f"ask-{number}"
            name = f"name-{number % names}"
            headers: list[tuple[str, str | bytes | None]] = [
                ("ce_specversion", b"1.0"),
                ("ce_id", event_id.encode()),
                ("ce_source", b"/test"),
                ("ce_type", b"test.asked.v1"),
                ("ce_time", b"2026-01-01T00:00:00Z"),
            ]
            value = f'{{"name": "{name}", "number": {number}}}'.encode()
            for _ in range(copies(number)):
                producer.produce(self.asked, value, name.encode(), headers=headers)
            ids.append(event_id)
        assert producer.flush(20) == 0
        return ids

    def said(self) -> list[Record]:
        """Everything on the answered topic now, partition by partition."""
        return read_all(self.bootstrap, self.answered)

    def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of the probe's database."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.dsn)
            try:
                return list(await connection.fetch(query, *arguments))
            finally:
                await connection.close()

        return asyncio.run(run())

    def effects(self) -> dict[str, int]:
        """How often each event had its effect."""
        return {row["id"]: row["times"] for row in self.fetch("SELECT id, times FROM effect")}

    def holder(self) -> int | None:
        """Process that holds the lease now, whether it has expired or not; None when nobody does."""
        rows = self.fetch("SELECT holder FROM lease WHERE expires_at > '-infinity'")
        return int(rows[0]["holder"].removeprefix("pid ")) if rows else None

    def is_done(self, count: int) -> bool:
        """Whether so many effects are there and nothing waits in the outbox."""
        row = self.fetch("SELECT (SELECT count(*) FROM effect) AS effects, (SELECT count(*) FROM outbox) AS unsent")[0]
        return bool(row["effects"] >= count and row["unsent"] == 0)


def read_all(bootstrap: str, topic: str) -> list[Record]:
    """Every record of `topic` up to its present end, partition by partition."""
    settings = {"bootstrap.servers": bootstrap, "group.id": f"read-{uuid4()}", "fetch.wait.max.ms": 10}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    try:
        places = [
            TopicPartition(topic, number) for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        spans = {place.partition: consumer.get_watermark_offsets(place, timeout=10) for place in places}
        pending = {partition for partition, (low, high) in spans.items() if low < high}
        consumer.assign([TopicPartition(topic, partition, spans[partition][0]) for partition in pending])
        records: list[Record] = []
        while pending:
            message = consumer.poll(10)
            assert message is not None, f"{topic} gives nothing more, though {pending} of {spans} are not at their ends"
            assert message.error() is None
            record = record_of(message)
            if record.offset < spans[record.partition][1]:
                records.append(record)
            if record.offset + 1 >= spans[record.partition][1]:
                pending.discard(record.partition)
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        consumer.close()


def header(record: Record, name: str) -> str:
    """A header's text; the test fails when it is missing."""
    return next(value or b"" for key, value in record.headers if key == name).decode()


def eventually(check: Callable[[], bool], log: Path, seconds: float = 40) -> None:
    """Wait until `check` holds, for what another process does in its own time."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.05)


def make_probe(bootstrap: str, admin_dsn: str, log: Path) -> Probe:
    """Fresh topics and a fresh database with the kit's tables."""
    run = uuid4().hex[:12]
    database = f"probe_{run}"
    asyncio.run(roles.provision(admin_dsn, lambda _: PASSWORD, ["probe"], database))
    worker = roles.dsn_for(admin_dsn, "taxiway_probe_worker", PASSWORD, database)
    asyncio.run(_create_tables(roles.dsn_for(admin_dsn, "taxiway_probe_owner", PASSWORD, database)))
    probe = Probe(run, bootstrap, worker, log)
    create_topics(bootstrap, probe.asked, probe.answered, f"{probe.asked}.dlq.probe.{run}")
    return probe


def create_topics(bootstrap: str, *names: str, partitions: int = PARTITIONS) -> None:
    """Create topics and wait until they are there."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    settings = {"message.timestamp.type": "LogAppendTime"}
    topics = [NewTopic(name, partitions, 1, config=settings) for name in names]
    for future in admin.create_topics(topics).values():
        future.result(20)


async def _create_tables(owner_dsn: str) -> None:
    connection = await asyncpg.connect(owner_dsn)
    try:
        await connection.execute(KIT_TABLES)
        await connection.execute(TABLES)
    finally:
        await connection.close()


def wire_duplicates(records: list[Record]) -> int:
    """Copies on the wire: records beyond the first of each (source, id)."""
    copies = Counter((header(record, "ce_source"), header(record, "ce_id")) for record in records)
    return sum(count - 1 for count in copies.values())
