"""The few calls that show a part serves and remembers, by the client libraries that the services use."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.local.stack import Addresses

_TOPIC = "kept"


@dataclass(frozen=True)
class Notebook:
    """A part seen as a list of words: `write` one, `read` them all."""

    prepare: Callable[[Addresses], object]
    write: Callable[[Addresses, str], object]
    read: Callable[[Addresses], list[str]]


def _make_topic(addresses: Addresses) -> None:
    admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap})
    for done in admin.create_topics([NewTopic(_TOPIC, num_partitions=1, replication_factor=1)]).values():
        done.result(timeout=30)


def _produce(addresses: Addresses, word: str) -> None:
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap, "acks": "all"})
    producer.produce(_TOPIC, word)
    assert producer.flush(30) == 0


def _consume(addresses: Addresses) -> list[str]:
    consumer = Consumer({"bootstrap.servers": addresses.kafka_bootstrap, "group.id": "reader"})
    try:
        partition = TopicPartition(_TOPIC, 0, 0)
        _, end = consumer.get_watermark_offsets(partition, timeout=30)
        consumer.assign([partition])
        messages = consumer.consume(end, timeout=30)
        return [(message.value() or b"").decode() for message in messages]
    finally:
        consumer.close()


def _sql(addresses: Addresses, statement: str, *arguments: str) -> list[Any]:
    async def fetch() -> list[Any]:
        connection = await asyncpg.connect(addresses.postgres_dsn, timeout=10)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    return asyncio.run(fetch())


def _redis(addresses: Addresses) -> "redis.Redis":
    return redis.Redis.from_url(addresses.redis_url, decode_responses=True, socket_timeout=10)


def _redis_write(addresses: Addresses, word: str) -> None:
    with _redis(addresses) as client:
        client.rpush("kept", word)


def _redis_read(addresses: Addresses) -> list[str]:
    with _redis(addresses) as client:
        words: Any = client.lrange("kept", 0, -1)
        return list(words)


NOTEBOOKS = {
    "kafka": Notebook(_make_topic, _produce, _consume),
    "postgres": Notebook(
        lambda addresses: _sql(addresses, "CREATE TABLE kept (word text)"),
        lambda addresses, word: _sql(addresses, "INSERT INTO kept VALUES ($1)", word),
        lambda addresses: [row["word"] for row in _sql(addresses, "SELECT word FROM kept")],
    ),
    "redis": Notebook(lambda _addresses: None, _redis_write, _redis_read),
}
