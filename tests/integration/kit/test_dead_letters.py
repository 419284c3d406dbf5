"""What cannot be handled is set aside with its reason, byte for byte, and the next good message goes through."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Producer

from services.kit.messaging.dead_letters import DROPPED_HEADER
from services.kit.messaging.log_reader import LogReader, Place
from services.kit.messaging.redrive import Redriven, redrive
from tests.integration.kit.harness import Probe, eventually, header, read_all

GOOD = {
    "ce_specversion": b"1.0",
    "ce_id": b"bad-1",
    "ce_source": b"/test",
    "ce_type": b"test.asked.v1",
    "ce_time": b"2026-01-01T00:00:00Z",
}
VALUE = b'{"name": "n", "number": 1}'

BAD = {
    "undecodable bytes": (GOOD, b"\xff\xfe\x00", "schema"),
    "no value": (GOOD, None, "schema"),
    "wrong schema": (GOOD, b'{"name": 5}', "schema"),
    "no id": ({k: v for k, v in GOOD.items() if k != "ce_id"}, VALUE, "envelope"),
    "no type": ({k: v for k, v in GOOD.items() if k != "ce_type"}, VALUE, "envelope"),
    "time without offset": (GOOD | {"ce_time": b"2026-01-01T00:00:00"}, VALUE, "envelope"),
    "source not UTF-8": (GOOD | {"ce_source": b"\xff"}, VALUE, "envelope"),
}


def dead_letter_topic(probe: Probe) -> str:
    """Where the probe's group sets aside."""
    return f"{probe.asked}.dlq.probe.{probe.run}"


def send(probe: Probe, headers: dict[str, bytes], value: bytes | None, topic: str | None = None) -> None:
    """One record as a plain producer would send it, to what the probe reads unless told otherwise."""
    producer = Producer({"bootstrap.servers": probe.bootstrap, "partitioner": "murmur2_random"})
    pairs: list[tuple[str, str | bytes | None]] = [*headers.items()]
    producer.produce(topic or probe.asked, value, b"name-0", headers=pairs)
    assert producer.flush(10) == 0


def send_back(probe: Probe) -> list[Redriven]:
    """Redrive what the probe's group set aside."""
    group = f"probe.{probe.run}"
    return asyncio.run(redrive(probe.bootstrap, probe.asked, group, actor="user:ann", reason="schema mended"))


@pytest.mark.parametrize("case", BAD)
def test_bad_record_is_set_aside_and_the_next_good_one_is_handled(probe: Probe, case: str) -> None:
    headers, value, error_type = BAD[case]
    send(probe, headers, value)
    ids = probe.ask(range(1), names=1)
    with probe.running():
        eventually(lambda: probe.is_done(1), probe.log)
    assert probe.effects() == dict.fromkeys(ids, 1)
    (letter,) = read_all(probe.bootstrap, dead_letter_topic(probe))
    assert (letter.value or b"") == (value or b"")
    assert letter.key == b"name-0"
    assert [pair for pair in letter.headers if not pair[0].startswith("taxiway_dlq_")] == [*headers.items()]
    assert header(letter, "taxiway_dlq_error_type") == error_type
    assert header(letter, "taxiway_dlq_original_topic") == probe.asked
    assert header(letter, "taxiway_dlq_error_message")


def test_unknown_type_is_skipped_and_not_set_aside(probe: Probe) -> None:
    send(probe, GOOD | {"ce_type": b"test.newer.v7"}, VALUE)
    ids = probe.ask(range(1), names=1)
    with probe.running():
        eventually(lambda: probe.is_done(1), probe.log)
    assert probe.effects() == dict.fromkeys(ids, 1)
    assert read_all(probe.bootstrap, dead_letter_topic(probe)) == []


def test_redriven_record_goes_back_as_it_was_and_says_who_sent_it(probe: Probe) -> None:
    send(probe, GOOD, b"{}")
    with probe.running():
        eventually(lambda: len(read_all(probe.bootstrap, dead_letter_topic(probe))) == 1, probe.log)

    assert [letter.topic for letter in send_back(probe)] == [probe.asked]
    assert send_back(probe) == []
    first, second = read_all(probe.bootstrap, probe.asked)
    assert (second.key, second.value) == (first.key, first.value)
    assert second.headers[: len(first.headers)] == first.headers
    assert header(second, "taxiway_redriven_by") == "user:ann"


def test_what_was_set_aside_without_its_content_cannot_go_back_and_is_passed_by(probe: Probe) -> None:
    place = Place(dead_letter_topic(probe), 0)
    send(probe, {DROPPED_HEADER: b"99"}, None, topic=place.topic)
    assert send_back(probe) == []
    assert read_all(probe.bootstrap, probe.asked) == []
    reader = LogReader(probe.bootstrap)
    assert reader.commits(f"{place.topic}.redrive", [place])[place].offset == 1, "it is not met again"
    reader.close()
