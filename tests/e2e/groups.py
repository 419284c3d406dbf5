"""What the broker knows about consumer groups: their generation, and who has which partitions.

The admin API does not tell the generation of a group, but the broker writes it into its own log of groups, from which
it would take it after a crash: the records with keys of version 2 in `__consumer_offsets`, whose value is a version
(int16), the protocol's type (int16 length and text) and the generation (int32); see `GroupMetadataKey.json` and
`GroupMetadataValue.json` in Kafka's sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.topics import TOPICS

GROUPS = sorted({group for topic in TOPICS for group in topic.groups})
_METADATA = 2
"""Version of the keys that hold a group; 0 and 1 hold offsets."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group at one moment. A member that came back in time leaves all of this as it was."""

    generation: int
    """Grows with every rebalance."""
    assignment: Mapping[str, frozenset[str]]
    """Partitions, as `topic/partition`, by the static name of the member that has them."""


def describe(bootstrap: str) -> dict[str, Group] | None:
    """All groups; None while one of them is not stable."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    groups = {name: future.result(10) for name, future in admin.describe_consumer_groups(GROUPS).items()}
    if any(group.state is not ConsumerGroupState.STABLE for group in groups.values()):
        return None
    generations = _generations(bootstrap)
    return {
        name: Group(
            generations[name], {member.group_instance_id: _places(member.assignment) for member in group.members}
        )
        for name, group in groups.items()
    }


def _places(assignment: object) -> frozenset[str]:
    places: list[TopicPartition] = getattr(assignment, "topic_partitions", [])
    return frozenset(f"{place.topic}/{place.partition}" for place in places)


def _generations(bootstrap: str) -> dict[str, int]:
    topic = "__consumer_offsets"
    settings = {"bootstrap.servers": bootstrap, "group.id": "e2e-reader", "enable.auto.commit": False}
    consumer = Consumer({**settings, "enable.partition.eof": True})
    generations: dict[str, int] = {}
    try:
        pending = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in pending])
        while pending:
            message = consumer.poll(10)
            assert message is not None, f"{topic} gives nothing"
            error = message.error()
            if error is None:
                _read(bytes(message.key() or b""), bytes(message.value() or b""), generations)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                pending.discard(message.partition() or 0)
    finally:
        consumer.close()
    return generations


def _read(key: bytes, value: bytes, generations: dict[str, int]) -> None:
    if _int16(key, 0) != _METADATA or not value:
        return
    name = key[4 : 4 + _int16(key, 2)].decode()
    start = 4 + _int16(value, 2)
    generations[name] = int.from_bytes(value[start : start + 4], "big", signed=True)


def _int16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "big", signed=True)
