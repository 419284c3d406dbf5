"""What the request's way cannot be quicker than: Kafka and Postgres asked by hand, one thing at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.ground import Ground
from bench.pipeline.messages import messages
from bench.statistics import Latencies
from services.kit.messaging.producer import producer_settings

WAIT_SECONDS = 10.0
WARM_UP = 10
INSERT = "INSERT INTO effect VALUES ($1, 1, 1)"


async def round_trips(ground: Ground, count: int) -> Latencies:
    """From handing a message to a bare producer until a bare consumer has it; the next one goes out after that."""
    return await asyncio.to_thread(_round_trips, ground.bootstrap, ground.topic("trips", 1), count)


def _round_trips(bootstrap: str, topic: str, count: int) -> Latencies:
    producer = Producer(producer_settings(bootstrap, "bench", 10))
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        samples = [_round_trip(producer, consumer, topic, message) for message in messages(count + WARM_UP)]
    finally:
        consumer.close()
    return Latencies(tuple(samples[WARM_UP:]))


def _round_trip(producer: Producer, consumer: Consumer, topic: str, sent: Any) -> float:
    started = time.perf_counter()
    producer.produce(topic, sent.value, sent.key, headers=sent.headers)
    got = consumer.poll(WAIT_SECONDS)
    seconds = time.perf_counter() - started
    assert got is not None
    assert got.error() is None
    producer.poll(0)
    return seconds * 1000


async def two_commits(ground: Ground, count: int) -> Latencies:
    """Two transactions of one insert each, one after the other, on one connection."""
    async with _connected(ground.dsn) as connection:
        samples = []
        for number in range(count + WARM_UP):
            started = time.perf_counter()
            for which in ("first", "second"):
                async with connection.transaction():
                    await connection.execute(INSERT, f"{which} {number}")
            samples.append((time.perf_counter() - started) * 1000)
    return Latencies(tuple(samples[WARM_UP:]))


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
