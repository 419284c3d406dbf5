"""A replay reads all there was when it began, the same way each time, and leaves no trace."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

from infra.local.stack import Addresses
from schemas.envelope import encode
from schemas.errors import EnvelopeError
from schemas.topics import Topic
from services.kit.errors import PermanentError, TransientError
from services.kit.messaging.replay import partition_of, replay
from tests.integration.kit.log import Message, append, append_transaction, delete_before, fresh, numbered
from tests.unit.kit.events import node_removed


@pytest.fixture
def bootstrap(addresses: Addresses) -> str:
    """The real Kafka."""
    return addresses.kafka_bootstrap


def removals(*nodes: str) -> list[Message]:
    """One event per node, numbered."""
    events = [node_removed(node, sequence) for sequence, node in enumerate(nodes, 1)]
    return [(event.key, *encode(event)) for event in events]


def values(bootstrap: str, topics: list[Topic], key: str | None = None) -> list[bytes | None]:
    """What a replay reads."""
    return [replayed.record.value for replayed in replay(bootstrap, topics, key=key)]


def test_our_producer_puts_every_key_where_we_look_for_it(bootstrap: str) -> None:
    topic = fresh(bootstrap, 6)
    keys = [f"key-{number}" for number in range(200)]
    reports = append(bootstrap, topic, [(key, b"", []) for key in keys])
    assert [report.partition for report in reports] == [partition_of(key.encode(), 6) for key in keys]
    assert len({report.partition for report in reports}) == 6


def test_all_records_of_all_topics_come_in_a_fixed_order(bootstrap: str) -> None:
    first, second = fresh(bootstrap), fresh(bootstrap)
    for topic in (second, first):
        append(bootstrap, topic, [(f"key-{number}", str(number).encode(), []) for number in range(40)])
    once = [replayed.record for replayed in replay(bootstrap, [first, second])]
    assert [replayed.record for replayed in replay(bootstrap, [first, second])] == once
    assert len(once) == 80
    places = [([first.name, second.name].index(record.topic), record.partition, record.offset) for record in once]
    assert places == sorted(places)


def test_by_key_only_that_keys_records_come_in_their_order(bootstrap: str) -> None:
    topic = fresh(bootstrap)
    nodes = [f"gpu-{number % 7}" for number in range(70)]
    append(bootstrap, topic, removals(*nodes))
    replayed = list(replay(bootstrap, [topic], key="gpu-3"))
    assert [item.event and item.event.sequence for item in replayed] == [
        sequence for sequence, node in enumerate(nodes, 1) if node == "gpu-3"
    ]
    assert list(replay(bootstrap, [topic], key="gpu-9")) == []


def test_events_carry_their_place_and_the_brokers_time(bootstrap: str) -> None:
    topic = fresh(bootstrap, 1)
    append(bootstrap, topic, removals("gpu-1"))
    [item] = replay(bootstrap, [topic])
    assert item.error is None
    assert item.event is not None
    assert str(item.event.position) == f"{topic.name}/0/0"
    assert item.event.position is not None
    assert item.event.position.appended_at == item.record.appended_at > item.event.time


def test_what_breaks_the_contract_comes_with_its_reason(bootstrap: str) -> None:
    topic = fresh(bootstrap, 1)
    append(bootstrap, topic, [("a", b"no event", []), *removals("gpu-1")])
    broken, good = replay(bootstrap, [topic])
    assert isinstance(broken.error, EnvelopeError)
    assert (broken.event, broken.record.value) == (None, b"no event")
    assert good.event is not None


def test_what_is_appended_after_the_start_is_not_read(bootstrap: str) -> None:
    topics = [fresh(bootstrap, 1), fresh(bootstrap, 1)]
    for topic in topics:
        append(bootstrap, topic, numbered(3))
    reading = replay(bootstrap, topics)
    next(reading)
    for topic in topics:
        append(bootstrap, topic, numbered(5))
    assert len(list(reading)) == 5
    assert len(values(bootstrap, topics)) == 16


def test_a_log_that_lost_its_beginning_is_read_from_what_is_left(bootstrap: str) -> None:
    topic = fresh(bootstrap, 1)
    append(bootstrap, topic, numbered(5))
    delete_before(bootstrap, topic, 0, 3)
    assert values(bootstrap, [topic]) == [b"3", b"4"]


def test_markers_and_aborted_records_are_passed_over(bootstrap: str) -> None:
    topic = fresh(bootstrap, 1)
    append_transaction(bootstrap, topic, [b"in"])
    append_transaction(bootstrap, topic, [b"taken back"], abort=True)
    assert values(bootstrap, [topic]) == [b"in"]
    append(bootstrap, topic, [("a", b"after", [])])
    assert values(bootstrap, [topic]) == [b"in", b"after"]


def test_a_marker_at_the_end_does_not_let_later_records_in(bootstrap: str) -> None:
    # given two topics, of which the second ends with a marker, so that its last offset never arrives
    read_first, marked = fresh(bootstrap, 1), fresh(bootstrap, 1)
    append(bootstrap, read_first, numbered(1))
    append_transaction(bootstrap, marked, [b"in"])
    # when something is appended to it while the first is read
    reading = replay(bootstrap, [read_first, marked])
    next(reading)
    append(bootstrap, marked, numbered(5))
    # then only what was there at the start is read
    assert [item.record.value for item in reading] == [b"in"]


def test_an_empty_topic_gives_nothing(bootstrap: str) -> None:
    assert values(bootstrap, [fresh(bootstrap)]) == []


def test_a_topic_that_does_not_exist_is_an_error(bootstrap: str) -> None:
    missing = fresh(bootstrap, create=False)
    with pytest.raises(PermanentError, match=missing.name):
        list(replay(bootstrap, [missing]))


def test_no_kafka_is_a_transient_error() -> None:
    with pytest.raises(TransientError, match="Kafka"):
        list(replay("127.0.0.1:1", [Topic("t", "name", 1, "tester", -1)], stall_seconds=0.2))


def test_no_group_is_left_behind(bootstrap: str) -> None:
    topic = fresh(bootstrap, 1)
    append(bootstrap, topic, numbered(3))
    assert len(values(bootstrap, [topic])) == 3
    groups = AdminClient({"bootstrap.servers": bootstrap}).list_consumer_groups().result(20).valid
    assert not [group.group_id for group in groups if group.group_id.startswith("replay-")]
