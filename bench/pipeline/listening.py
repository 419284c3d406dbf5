"""Hears when events arrive: a thread that reads topics from their end and notes the time of each first arrival."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.envelope import Event, decode
from services.kit.ids import new_id
from services.kit.messaging.record import record_of

POLL_SECONDS = 0.1
LEADER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Heard:
    """An event, and when the listener had it in hand."""

    event: Event[Any]
    at: float
    """`time.perf_counter()`."""
    at_wall: float
    """Seconds since the epoch."""


Subject = tuple[str, str]
"""CloudEvents type and record key."""


class Listener:
    """Everything that is appended to `topics` from `start` on. Belongs to the loop that starts it."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": f"bench-{new_id()}", "enable.auto.commit": False}
        )
        self._topics = topics
        self._heard: dict[Subject, Heard] = {}
        self._waiting: dict[Subject, asyncio.Future[Heard]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)

    def start(self) -> None:
        """Read from the present end of each partition."""
        self._loop = asyncio.get_running_loop()
        self._consumer.assign([self._end_of(place) for topic in self._topics for place in self._partitions(topic)])
        self._thread.start()

    async def first(self, event_type: str, key: str, seconds: float) -> Heard:
        """The first event of this type and key, now or when it comes; raises TimeoutError after `seconds`."""
        subject = (event_type, key)
        if subject in self._heard:
            return self._heard[subject]
        self._waiting[subject] = self._loop.create_future()
        async with asyncio.timeout(seconds):
            return await self._waiting[subject]

    async def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        self._consumer.close()

    def _partitions(self, topic: str) -> list[TopicPartition]:
        found = self._consumer.list_topics(topic, timeout=LEADER_SECONDS).topics[topic].partitions
        return [TopicPartition(topic, partition) for partition in found]

    def _end_of(self, place: TopicPartition) -> TopicPartition:
        """Where its log ends now; a topic that was just created has no leader for a moment."""
        deadline = time.monotonic() + LEADER_SECONDS
        while True:
            try:
                marks = self._consumer.get_watermark_offsets(place, timeout=LEADER_SECONDS)
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return TopicPartition(place.topic, place.partition, marks[1])

    def _listen(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(POLL_SECONDS)
            if message is None or message.error() is not None:
                continue
            at, at_wall = time.perf_counter(), time.time()
            record = record_of(message)
            event = decode(record.headers, record.value, position=record.position)
            self._loop.call_soon_threadsafe(self._tell, Heard(event, at, at_wall))

    def _tell(self, heard: Heard) -> None:
        subject = (heard.event.type, heard.event.key)
        self._heard.setdefault(subject, heard)
        waiting = self._waiting.pop(subject, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(heard)
