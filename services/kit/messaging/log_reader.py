"""Questions about the log that need no consumer group: where it begins and ends, what a group committed, when a record
was appended. All calls block; they raise `KafkaException` when Kafka is away."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its exports are not marked

REQUEST_SECONDS = 10.0
_UNSETTLED = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
"""What a broker says about its groups in the first moments after its start."""


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def at(self, offset: int | None = None) -> TopicPartition:
        """As the client wants it."""
        return TopicPartition(*self) if offset is None else TopicPartition(*self, offset)


class Commit(NamedTuple):
    """What a group has committed of a partition."""

    offset: int
    """The next to be read."""
    note: str | None
    """What the consumer wrote beside it."""


class LogReader:
    """One admin client and one consumer that belongs to no group. Used by one thread at a time."""

    def __init__(self, bootstrap: str, *, request_seconds: float = REQUEST_SECONDS) -> None:
        self._seconds = request_seconds
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "lag-probe",  # the client wants one; with assign() and no commit none comes to be
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                # One record of each partition is wanted, not what follows it. What waits to be polled counts against
                # one bound for all partitions: with a low one, those that got something would keep the rest from it.
                "max.partition.fetch.bytes": 1024,
                "queued.min.messages": 10_000,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def spans(self, topics: Collection[str]) -> dict[Place, range]:
        """The offsets that each partition of `topics` holds now; topics that do not exist are left out."""
        seen = self._admin.list_topics(timeout=self._seconds).topics
        places = [Place(name, number) for name in topics if name in seen for number in seen[name].partitions]
        first = self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        last = self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {place: range(first[place], last[place]) for place in places}

    def committed(self, group: str, places: Collection[Place]) -> dict[Place, int | None]:
        """What `group` has committed; None where it has committed nothing, or does not exist."""
        commits = self.commits(group, places)
        return {place: commits[place].offset if place in commits else None for place in places}

    def commits(self, group: str, places: Collection[Place]) -> dict[Place, Commit]:
        """The last commit of `group`; where it has committed nothing, or does not exist, there is no entry."""
        if not places:
            return {}
        answer = self._ask_group(ConsumerGroupTopicPartitions(group, [place.at() for place in places]))
        for found in answer:
            if found.error is not None:
                raise KafkaException(found.error)
        return {
            Place(found.topic, found.partition): Commit(found.offset, found.metadata)
            for found in answer
            if found.offset >= 0
        }

    def _ask_group(self, asked: ConsumerGroupTopicPartitions) -> list[TopicPartition]:
        deadline = time.monotonic() + self._seconds
        while True:
            future = self._admin.list_consumer_group_offsets([asked], request_timeout=self._seconds)[asked.group_id]
            try:
                answer: list[TopicPartition] = future.result(self._seconds + 5).topic_partitions
            except KafkaException as error:
                if error.args[0].code() not in _UNSETTLED or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return answer

    def append_times(self, offsets: Mapping[Place, int]) -> dict[Place, float]:
        """When the record at each offset was appended, seconds since the epoch.

        Where that offset is gone, the next record's. A partition that ends before there is one is left out.
        """
        times: dict[Place, float] = {}
        pending = set(offsets)
        self._consumer.assign([place.at(offset) for place, offset in offsets.items()])
        deadline = time.monotonic() + self._seconds
        while pending:
            message = self._consumer.poll(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "reading the oldest uncommitted records"))
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            place = Place(message.topic() or "", message.partition() or 0)
            if place in pending:
                pending.discard(place)
                self._consumer.incremental_unassign([place.at()])
                if error is None:
                    times[place] = message.timestamp()[1] / 1000
        self._consumer.unassign()
        return times

    def _offsets(self, places: Collection[Place], spec: OffsetSpec) -> dict[Place, int]:
        if not places:
            return {}
        futures = self._admin.list_offsets({place.at(): spec for place in places}, request_timeout=self._seconds)
        return {
            Place(at.topic, at.partition): future.result(self._seconds + 5).offset for at, future in futures.items()
        }
