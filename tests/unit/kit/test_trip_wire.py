"""The trip-wire stops a consumer that sets too much aside, and counts nothing that did not happen."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.kit.clock import HeldClock
from services.kit.errors import PermanentError, TransientError
from services.kit.messaging.dead_letters import DROPPED_HEADER, DeadLetters, Defect, TripWire, TripWireError
from services.kit.messaging.record import Record
from tests.fakes.kit.producer import InMemoryProducer

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OURS = Defect("schema", "wrong", 1, NOW)
THEIRS = Defect("signature", "wrong", 1, NOW, is_our_fault=False)
RECORD = Record("t.v1", 2, 7, None, None, [("ce_id", b"1"), ("empty", None)], 1_000)


@pytest.fixture
def producer() -> InMemoryProducer:
    """Where dead letters go."""
    return InMemoryProducer()


@pytest.fixture
def letters(producer: InMemoryProducer) -> DeadLetters:
    """Of a group whose trip-wire stops the fourth in a row, or when more than half of the last eight were bad."""
    return DeadLetters(producer, "group", HeldClock(NOW), TripWire(run=3, ratio=0.5, window=8))


async def test_one_more_in_a_row_than_allowed_stops_and_is_not_set_aside(
    letters: DeadLetters, producer: InMemoryProducer
) -> None:
    for _ in range(3):
        await letters.set_aside(RECORD, OURS)
    with pytest.raises(TripWireError, match="3 records in a row"):
        await letters.set_aside(RECORD, OURS)
    assert len(producer.sent) == 3


async def test_what_is_handled_in_between_ends_the_row_but_stays_in_the_ratio(letters: DeadLetters) -> None:
    for _ in range(3):
        letters.trip_wire.passed()
        await letters.set_aside(RECORD, OURS)
    letters.trip_wire.passed()
    for _ in range(2):
        await letters.set_aside(RECORD, OURS)
    with pytest.raises(TripWireError, match="5 of the last 8"):
        await letters.set_aside(RECORD, OURS)


async def test_strangers_never_count(letters: DeadLetters) -> None:
    for _ in range(20):
        await letters.set_aside(RECORD, THEIRS)
    await letters.set_aside(RECORD, OURS)


async def test_what_could_not_be_delivered_is_not_counted(letters: DeadLetters, producer: InMemoryProducer) -> None:
    producer.failures = [TransientError("away") for _ in range(5)]
    for _ in range(5):
        with pytest.raises(TransientError):
            await letters.set_aside(RECORD, OURS)
    for _ in range(3):
        await letters.set_aside(RECORD, OURS)


async def test_a_record_is_kept_as_it_was_also_where_it_is_empty(
    letters: DeadLetters, producer: InMemoryProducer
) -> None:
    await letters.set_aside(RECORD, OURS)
    [letter] = producer.sent
    assert (letter.topic, letter.key, letter.value) == ("t.v1.dlq.group", None, None)
    assert letter.headers[:2] == [("ce_id", b"1"), ("empty", None)]
    assert ("taxiway_dlq_original_offset", b"7") in letter.headers


async def test_what_is_too_large_is_kept_by_its_place_and_its_size(
    letters: DeadLetters, producer: InMemoryProducer
) -> None:
    producer.failures = [PermanentError("too large")]
    await letters.set_aside(RECORD._replace(key=b"k", value=b"x" * 99), OURS)
    [letter] = producer.sent
    assert (letter.key, letter.value) == (None, None)
    assert (DROPPED_HEADER, b"99") in letter.headers
    assert ("taxiway_dlq_original_partition", b"2") in letter.headers
    assert ("ce_id", b"1") not in letter.headers
