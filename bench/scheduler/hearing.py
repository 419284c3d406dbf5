"""Hears what is said on topics: a thread that notes type, key and time of each record, and reads nothing else of it.

It shares two cores with what it measures, so it does as little as it can for each record.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from services.kit.ids import new_id

POLL_SECONDS = 0.05
BATCH = 500
TYPE = "ce_type"


class Heard(NamedTuple):
    """One record."""

    type: str
    """Of the CloudEvent."""
    key: str
    at: float
    """When it was in hand: `time.perf_counter()`."""
    value: bytes


class Hearing:
    """Everything that is appended to `topics` from now on."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self.heard: defaultdict[str, list[Heard]] = defaultdict(list)
        """By CloudEvents type, in the order in which it was read."""
        self._changed = threading.Condition()
        self._stop = threading.Event()
        settings = {"bootstrap.servers": bootstrap, "group.id": f"bench-{new_id()}", "enable.auto.commit": False}
        self._consumer = Consumer(settings | {"fetch.wait.max.ms": 20})
        self._consumer.assign([self._end_of(place) for topic in topics for place in self._partitions(topic)])
        self._thread = threading.Thread(target=self._listen, name="hearing", daemon=True)
        self._thread.start()

    def wait_for(self, type_: str, count: int, seconds: float) -> list[Heard]:
        """The first `count` records of the type, now or when they are there; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while len(found := self.heard[type_]) < count:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(found)} of {count} {type_} after {seconds:.0f} s")
                self._changed.wait(1.0)
            return found[:count]

    def close(self) -> None:
        """Hear no more."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _partitions(self, topic: str) -> list[TopicPartition]:
        found = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return [TopicPartition(topic, partition) for partition in found]

    def _end_of(self, place: TopicPartition) -> TopicPartition:
        end = self._consumer.get_watermark_offsets(place, timeout=10)
        return TopicPartition(place.topic, place.partition, end[1] if end else OFFSET_END)

    def _listen(self) -> None:
        while not self._stop.is_set():
            first = self._consumer.poll(POLL_SECONDS)
            if first is None:
                continue
            messages = [first, *self._consumer.consume(BATCH, timeout=0)]
            at = time.perf_counter()
            heard = [_heard(message, at) for message in messages if message.error() is None]
            with self._changed:
                for each in heard:
                    self.heard[each.type].append(each)
                self._changed.notify_all()


def _heard(message: Any, at: float) -> Heard:
    kind = next(value for name, value in message.headers() if name == TYPE)
    return Heard(kind.decode(), message.key().decode(), at, message.value())
