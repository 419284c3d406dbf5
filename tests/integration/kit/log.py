"""Fresh topics on the real Kafka, and what is appended to them, committed on them, deleted from them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.envelope import Headers
from schemas.topics import Topic
from services.kit.messaging.producer import DeliveryReport, ProducerBridge
from services.kit.messaging.topics import provision

Message = tuple[str, bytes, Headers]
"""Key, value, headers."""


def fresh(bootstrap: str, partitions: int = 3, *, create: bool = True, groups: tuple[str, ...] = ()) -> Topic:
    """A topic that nobody else has."""
    topic = Topic(f"test.{uuid4().hex[:12]}.events.v1", "name", partitions, "tester", -1, groups)
    if create:
        provision(bootstrap, [topic])
    return topic


def append(bootstrap: str, topic: Topic | str, messages: Iterable[Message]) -> list[DeliveryReport]:
    """Send by the producer of the project; returns where each went."""
    name = topic if isinstance(topic, str) else topic.name

    async def send() -> list[DeliveryReport]:
        producer = ProducerBridge(bootstrap, "test")
        try:
            return [await producer.send(name, key.encode(), value, headers) for key, value, headers in messages]
        finally:
            await producer.close()

    return asyncio.run(send())


def numbered(count: int, key: str = "a") -> list[Message]:
    """So many messages of one key."""
    return [(key, str(number).encode(), []) for number in range(count)]


def append_transaction(bootstrap: str, topic: Topic, values: Iterable[bytes], *, abort: bool = False) -> None:
    """Append to partition 0 in one transaction: its marker takes an offset that no reader ever sees.

    The broker writes the marker some moments after it has confirmed the end, so it is waited for.
    """
    before, values = end_of(bootstrap, topic), list(values)
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": uuid4().hex})
    producer.init_transactions(20)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic.name, value, b"a", partition=0)
    producer.flush(20)
    if abort:
        producer.abort_transaction(20)
    else:
        producer.commit_transaction(20)
    deadline = time.monotonic() + 20
    while end_of(bootstrap, topic) < before + len(values) + 1:
        assert time.monotonic() < deadline, f"{topic.name}: no marker"
        time.sleep(0.01)


def end_of(bootstrap: str, topic: Topic) -> int:
    """Offset that the next record of partition 0 will get."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "ends"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic.name, 0), timeout=20)[1])
    finally:
        consumer.close()


def commit(bootstrap: str, group: str, topic: Topic | str, partition: int, offset: int) -> None:
    """Commit as a consumer that is gone again."""
    name = topic if isinstance(topic, str) else topic.name
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(name, partition, offset)], asynchronous=False)
    consumer.close()


def delete_before(bootstrap: str, topic: Topic, partition: int, offset: int) -> None:
    """Delete the beginning of a partition, as retention does."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.delete_records([TopicPartition(topic.name, partition, offset)]).values():
        future.result(20)
