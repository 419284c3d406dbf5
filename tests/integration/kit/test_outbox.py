"""Sixteen writers at once, transactions held open at random, the relay killed and restarted: every row is delivered,
and the order of each key is kept."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import pytest

from services.kit.errors import TooLargeError
from services.kit.messaging.origin import Origin
from services.kit.persistence.database import Database
from services.kit.persistence.outbox import MAX_BYTES
from tests.integration.kit.harness import Probe, eventually, header, wire_duplicates
from tests.integration.kit.probe import Answered

WRITERS = 16
TRANSACTIONS = 25
KEYS = 5


async def write(database: Database, topic: str, writer: int) -> None:
    """Transactions of one to three events on random keys, some held open after the outbox was written."""
    chance = random.Random(writer)

    class Said(Answered):
        pass

    Said.topic = topic
    for number in range(TRANSACTIONS):
        async with database.unit_of_work() as work:
            for _ in range(chance.randint(1, 3)):
                work.emit(Said(name=f"key-{chance.randrange(KEYS)}", number=writer * 1000 + number), Origin(None, "t"))
            if chance.random() < 0.3:
                await work.flush()
                await asyncio.sleep(chance.random() * 0.03)


async def write_all(dsn: str, topic: str) -> None:
    """All writers at once."""
    database = Database(dsn, "/test/writers", pool_size=WRITERS)
    await asyncio.gather(*(write(database, topic, writer) for writer in range(WRITERS)))
    await database.close()


def test_sixteen_writers_and_a_relay_that_is_killed(probe: Probe) -> None:
    relay = probe.start()
    writing = asyncio.new_event_loop()
    task = writing.create_task(write_all(probe.dsn, probe.answered))
    for _ in range(3):
        writing.run_until_complete(asyncio.wait({task}, timeout=0.4))
        relay.kill()
        relay.wait()
        relay = probe.start()
    writing.run_until_complete(task)
    writing.close()
    relay.kill()
    relay.wait()
    with probe.running():
        eventually(lambda: probe.is_done(0), probe.log)

    said = probe.said()
    expected = {row["key"]: row["last"] for row in probe.fetch("SELECT key, last FROM outbox_sequence")}
    first_copies: dict[str, list[int]] = defaultdict(list)
    for record in said:
        number = int(header(record, "ce_sequence"))
        sequences = first_copies[(record.key or b"").decode()]
        if number not in sequences:
            sequences.append(number)
    assert sum(expected.values()) >= WRITERS * TRANSACTIONS
    assert len(said) - wire_duplicates(said) == sum(expected.values())
    assert first_copies == {key: list(range(1, last + 1)) for key, last in expected.items()}


async def test_what_no_record_can_hold_is_refused_with_all_that_came_with_it(probe: Probe) -> None:
    """It could never leave the outbox, and everything of its key would wait behind it."""
    database = Database(probe.dsn, "/test/large")

    async def say(size: int) -> None:
        async with database.unit_of_work() as work:
            work.emit(Answered(name="n" * size, number=1), Origin(None, "t"))
            work.emit(Answered(name="small", number=1), Origin(None, "t"))

    with pytest.raises(TooLargeError, match="at most"):
        await say(MAX_BYTES)
    await say(2000)
    async with database.unit_of_work() as work:
        assert await (await work.driver()).fetchval("SELECT count(*) FROM outbox") == 2
    await database.close()
