"""What the consumer loop relies on holds for confluent's client on a real broker, and for the one in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.local.stack import Addresses
from services.kit.messaging.consumer import consumer_settings
from tests.fakes.kit.kafka import InMemoryBroker

PATIENCE_SECONDS = 20.0


@dataclass
class Ground:
    """One topic of two partitions, and clients of one group."""

    topic: str
    produce: Callable[[int, str], None]
    """A value into a partition."""
    make: Callable[[], Any]
    """A client that has not subscribed yet."""


def real(addresses: Addresses) -> Ground:
    """A real broker."""
    topic = f"contract-{uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap})
    admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap, "linger.ms": 0})

    def produce(partition: int, value: str) -> None:
        producer.produce(topic, value.encode(), partition=partition)
        assert producer.flush(20) == 0

    return Ground(topic, produce, lambda: Consumer(consumer_settings(addresses.kafka_bootstrap, topic, "0", 10)))


def in_memory() -> Ground:
    """The one of the unit tests."""
    broker = InMemoryBroker([("asked", 0), ("asked", 1)])
    return Ground(
        "asked", lambda partition, value: broker.produce(value, partition=partition), lambda: broker.client({})
    )


class Member:
    """A client that has joined, and lets the broker assign and revoke as the loop does."""

    def __init__(self, ground: Ground) -> None:
        self.revoked: list[int] = []
        self._ground = ground
        self.client = ground.make()
        self.client.subscribe([ground.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _assigned(self, client: Any, places: list[TopicPartition]) -> None:
        client.incremental_assign(places)

    def _revoked(self, client: Any, places: list[TopicPartition]) -> None:
        self.revoked += sorted(place.partition for place in places)
        client.incremental_unassign(places)

    def next(self) -> tuple[str, int, int]:
        """Value, partition and offset of the next record."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            message = self.client.poll(0.1)
            if message is not None:
                assert message.error() is None, message.error()
                return message.value().decode(), message.partition(), message.offset()
        raise AssertionError("no record came")

    def at(self, partition: int, offset: int = 0) -> TopicPartition:
        """A place in the topic."""
        return TopicPartition(self._ground.topic, partition, offset)


@pytest.fixture(params=["in_memory", "kafka"])
def ground(request: pytest.FixtureRequest) -> Ground:
    """Each in turn."""
    return in_memory() if request.param == "in_memory" else real(request.getfixturevalue("addresses"))


def test_what_the_loop_relies_on(ground: Ground) -> None:
    """One story, because each member that joins a real group takes its time."""
    member = Member(ground)
    # A partition's records come in their order, and what is here already comes without waiting.
    for value in "abc":
        ground.produce(0, value)
    assert member.next() == ("a", 0, 0)
    more = [member.next()[0], *(message.value().decode() for message in member.client.consume(9, timeout=0))]
    while len(more) < 2:  # a fetch may bring them one by one
        more.append(member.next()[0])
    assert more == ["b", "c"]
    assert {place.partition for place in member.client.assignment()} == {0, 1}
    # A paused partition gives nothing, the other one goes on.
    member.client.pause([member.at(0)])
    ground.produce(0, "d")
    ground.produce(1, "x")
    assert member.next() == ("x", 1, 0)
    assert member.client.poll(0.3) is None
    member.client.resume([member.at(0)])
    assert member.next() == ("d", 0, 3)
    # A seek goes back; a partition that is not ours cannot be sought in.
    member.client.seek(member.at(0, 1))
    assert [member.next()[0] for _ in range(3)] == ["b", "c", "d"]
    with pytest.raises(KafkaException):
        member.client.seek(member.at(7, 0))
    # The next client reads on from what is committed, and from the beginning where nothing is.
    member.client.commit(offsets=[member.at(0, 2)], asynchronous=False)
    member.client.close()
    assert member.revoked == [0, 1], "who leaves is asked to let go first"
    successor = Member(ground)
    assert sorted(successor.next() for _ in range(3)) == [("c", 0, 2), ("d", 0, 3), ("x", 1, 0)]
    successor.client.close()
