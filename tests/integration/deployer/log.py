"""What a test says on the topics as other services would, and what it hears there."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from schemas.base import EventData
from schemas.envelope import Event, decode, encode
from schemas.topics import Topic
from services.kit.ids import new_id
from services.kit.messaging.record import record_of


class Listening:
    """What is said on some topics, from now on; polled by one thread."""

    def __init__(self, bootstrap: str, *topics: Topic) -> None:
        self.heard: list[Event[Any]] = []
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"read-{new_id()}"})
        places = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        for place in places:
            place.offset = self._end_of(place)
        self._consumer.assign(places)

    def poll(self) -> Event[Any] | None:
        """The next event, once: a relay that was killed may repeat itself."""
        message = self._consumer.poll(0.05)
        if message is None or message.error() is not None:
            return None
        record = record_of(message)
        event = decode(record.headers, record.value)
        if event.id in {each.id for each in self.heard}:
            return None
        self.heard.append(event)
        return event

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _end_of(self, place: TopicPartition) -> int:
        for _ in range(100):
            try:
                return int(self._consumer.get_watermark_offsets(place, timeout=10)[1])
            except KafkaException:
                time.sleep(0.1)
        raise AssertionError(f"{place} has no leader")


class Telling:
    """Produces events as other services would."""

    def __init__(self, bootstrap: str, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 0, "acks": "all"}
        )

    def tell(self, data: EventData) -> None:
        """Produce one event, delivered."""
        event = Event(str(new_id()), "/taxiway/test", datetime.now(UTC), data, str(self._tenant_id), "user:ann")
        value, headers = encode(event)
        self._producer.produce(data.topic, value, data.key, headers=list(headers))
        assert self._producer.flush(20) == 0
