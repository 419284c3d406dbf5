"""Reads topics from their beginning to where they end now, for audit and for `--from-log`.

No consumer group is joined and nothing is committed, so that reading leaves no trace. Partition follows partition in
the order of the topics given: the same log gives the same sequence every time. Within a partition records come in the
order of the log; a caller who wants one order over partitions sorts by log-append time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.base import EventData
from schemas.envelope import Event, decode
from schemas.errors import ContractError
from schemas.topics import Topic
from services.kit.errors import PermanentError, TransientError
from services.kit.ids import new_id
from services.kit.messaging.murmur import partition_of
from services.kit.messaging.record import Record, record_of

__all__ = ["Replayed", "partition_of", "partitions_to_read", "read", "replay"]

STALL_SECONDS = 20.0
"""A partition that gives nothing for so long while there is more is given up."""
_LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
"""What a broker says about a partition without a leader."""
BATCH = 500
"""Messages taken from the client at once."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One record of the log, and what it says or why it says nothing."""

    record: Record
    """Its place, time and bytes."""
    event: Event[EventData] | None
    """None when the record breaks the contract."""
    error: ContractError | None
    """Why it could not be read; an `UnknownEventTypeError` when it is of a later release."""


def replay(
    bootstrap: str, topics: Sequence[Topic], *, key: str | None = None, stall_seconds: float = STALL_SECONDS
) -> Iterator[Replayed]:
    """The records of `topics` up to the ends they have at the first step; with `key`, only that key's.

    Blocks while it reads. Raises `PermanentError` when a topic does not exist, `TransientError` when Kafka is away.
    """
    consumer = Consumer(_settings(bootstrap))
    try:
        spans = [span for topic in topics for span in _spans(consumer, topic, key, stall_seconds)]
        for span in spans:
            for record in _read(consumer, span, stall_seconds):
                if key is None or record.key == key.encode():
                    yield read(record)
    except KafkaException as error:
        raise TransientError(f"Kafka: {error.args[0].str()}") from error
    finally:
        consumer.close()


def read(record: Record) -> Replayed:
    """The record as an event, leniently: the log holds events of every age."""
    try:
        return Replayed(record, decode(record.headers, record.value, position=record.position), None)
    except ContractError as error:
        return Replayed(record, None, error)


@dataclass(frozen=True, slots=True)
class _Span:
    """What there is to read of one partition: offsets from `start` to before `end`."""

    topic: str
    partition: int
    start: int
    end: int


def _settings(bootstrap: str) -> dict[str, str | bool | int]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": f"replay-{new_id()}",  # the client wants one; with assign() and no commit none comes to be
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",  # retention may remove the beginning while we read
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 10,  # at a partition's end the next one need not wait for a record that will not come
        "log_level": 0,
    }


def _ends(consumer: Consumer, partition: TopicPartition, seconds: float) -> tuple[int, int]:
    """The first offset and the one after the last; a partition that was just made, or moves, has no leader for a
    moment."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            start, end = consumer.get_watermark_offsets(partition, timeout=seconds)
        except KafkaException as error:
            if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return start, end


def _spans(consumer: Consumer, topic: Topic, key: str | None, seconds: float) -> list[_Span]:
    seen = consumer.list_topics(topic.name, timeout=seconds).topics[topic.name]
    if seen.error is not None:
        raise PermanentError(f"Kafka: topic {topic.name}: {seen.error.str()}")
    spans = []
    for partition in partitions_to_read(topic, key, len(seen.partitions)):
        start, end = _ends(consumer, TopicPartition(topic.name, partition), seconds)
        if start < end:
            spans.append(_Span(topic.name, partition, start, end))
    return spans


def partitions_to_read(topic: Topic, key: str | None, partitions: int) -> Sequence[int]:
    """All partitions, or the one that our producers put `key` in.

    Who writes from outside may spread keys as they like, and so does a topic with another number of partitions than
    the contract has: there each partition is read.
    """
    if key is None or topic.owner == "outside" or partitions != topic.partitions:
        return range(partitions)
    return [partition_of(key.encode(), partitions)]


def _read(consumer: Consumer, span: _Span, stall_seconds: float) -> Iterator[Record]:
    """The records of one span; offsets may be missing in it, at its end too (transaction markers, deleted records)."""
    consumer.assign([TopicPartition(span.topic, span.partition, span.start)])
    while True:
        first = consumer.poll(stall_seconds)
        if first is None:
            raise TransientError(f"Kafka: {span.topic}/{span.partition} gives nothing for {stall_seconds:.0f} s")
        for message in [first, *consumer.consume(BATCH, timeout=0)]:  # with a timeout it would wait for a full batch
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return
            if error is not None:
                raise KafkaException(error)
            record = record_of(message)
            if record.offset < span.end:
                yield record
            if record.offset >= span.end - 1:
                return
