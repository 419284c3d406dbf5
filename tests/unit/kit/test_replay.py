"""Which partitions a replay reads, and what it makes of records that break the contract."""

from __future__ import annotations

from uuid import UUID

from schemas.envelope import Headers, encode
from schemas.errors import EnvelopeError, SchemaError, UnknownEventTypeError
from schemas.topics import DEPLOYMENT_REQUESTS, NODE_EVENTS, Topic
from services.kit.messaging.record import Record
from services.kit.messaging.replay import partition_of, partitions_to_read, read
from tests.unit.kit.events import node_removed

EVENTS = Topic("taxiway.test.events.v1", "name", 6, "tester", -1)
KEY = str(UUID(int=7))


def test_without_a_key_all_partitions_are_read() -> None:
    assert list(partitions_to_read(EVENTS, None, 6)) == [0, 1, 2, 3, 4, 5]


def test_with_a_key_only_its_partition_is_read() -> None:
    assert list(partitions_to_read(EVENTS, KEY, 6)) == [partition_of(KEY.encode(), 6)]


def test_who_writes_from_outside_may_use_any_partition() -> None:
    assert list(partitions_to_read(DEPLOYMENT_REQUESTS, KEY, 6)) == [0, 1, 2, 3, 4, 5]


def test_a_topic_that_was_grown_is_read_whole() -> None:
    assert list(partitions_to_read(EVENTS, KEY, 12)) == list(range(12))


def record(value: bytes, headers: Headers) -> Record:
    """A record at offset 5."""
    return Record(NODE_EVENTS.name, 1, 5, b"gpu-1", value, list(headers), timestamp_ms=1_772_366_400_000)


def test_a_record_becomes_its_event_with_its_place() -> None:
    event = node_removed("gpu-1")
    replayed = read(record(*encode(event)))
    assert replayed.event == event
    assert replayed.error is None
    assert str(replayed.event and replayed.event.position) == f"{NODE_EVENTS.name}/1/5"


def test_a_field_of_a_later_release_is_no_error() -> None:
    value, headers = encode(node_removed("gpu-1"))
    assert read(record(value.replace(b"{", b'{"new": 1, ', 1), headers)).error is None


def test_what_breaks_the_contract_is_told_and_not_skipped() -> None:
    value, headers = encode(node_removed("gpu-1"))
    unknown = [(name, b"taxiway.node.upgraded.v1" if name == "ce_type" else content) for name, content in headers]
    assert isinstance(read(record(b"{}", headers)).error, SchemaError)
    assert isinstance(read(record(value, [])).error, EnvelopeError)
    assert isinstance(read(record(value, unknown)).error, UnknownEventTypeError)
    assert read(record(b"{}", headers)).event is None
