"""Dead letters as they are told, and which topics have them."""

from __future__ import annotations

import pytest
import typer

from schemas.topics import DEPLOYMENT_EVENTS, INGEST_PROJECTION, SCHEDULER_QUEUE
from services.cli.dead_letters import letter_of, topics_to_read
from services.kit.messaging.record import Record
from tests.unit.cli.door import taxiway
from tests.unit.cli.events import NOON_MS

LETTER = Record(
    topic="taxiway.deployment.events.v1.dlq.taxiway.ingest.projection",
    partition=0,
    offset=3,
    key=b"\xffkey",
    value=b"{}",
    headers=[
        ("ce_id", b"e1"),
        ("taxiway_dlq_original_topic", b"taxiway.deployment.events.v1"),
        ("taxiway_dlq_original_partition", b"4"),
        ("taxiway_dlq_original_offset", b"17"),
        ("taxiway_dlq_consumer_group", b"taxiway.ingest.projection"),
        ("taxiway_dlq_error_type", b"schema"),
        ("taxiway_dlq_error_message", b"/spec: is missing"),
        ("taxiway_dlq_failed_at", b"2026-03-01T12:00:00.000000Z"),
    ],
    timestamp_ms=NOON_MS,
)


def test_a_letter_tells_where_it_came_from_and_why() -> None:
    assert letter_of(LETTER, 0) == {
        "dead_letter_topic": LETTER.topic,
        "offset": 3,
        "key": "\ufffdkey",
        "original_topic": "taxiway.deployment.events.v1",
        "original_position": "taxiway.deployment.events.v1/4/17",
        "consumer_group": "taxiway.ingest.projection",
        "error_type": "schema",
        "error_message": "/spec: is missing",
        "failed_at": "2026-03-01T12:00:00.000000Z",
        "is_redriven": False,
    }


@pytest.mark.parametrize(("next_offset", "is_redriven"), [(0, False), (3, False), (4, True)])
def test_what_was_sent_back_is_marked(next_offset: int, is_redriven: bool) -> None:
    assert letter_of(LETTER, next_offset)["is_redriven"] is is_redriven


def test_each_reader_of_a_topic_has_its_own_letters() -> None:
    names = [topic.name for topic in topics_to_read(DEPLOYMENT_EVENTS.name)]
    assert f"{DEPLOYMENT_EVENTS.name}.dlq.{INGEST_PROJECTION}" in names
    assert f"{DEPLOYMENT_EVENTS.name}.dlq.{SCHEDULER_QUEUE}" in names
    assert len(names) == len(DEPLOYMENT_EVENTS.groups)
    assert len(topics_to_read(None)) > len(names)
    with pytest.raises(typer.BadParameter):
        topics_to_read("taxiway.deployment.events")


def test_a_group_that_does_not_read_the_topic_is_wrong_usage() -> None:
    arguments = ["dead-letters", "redrive", DEPLOYMENT_EVENTS.name, "nobody", "--actor", "ann", "--reason", "x"]
    outcome = taxiway(*arguments, env={"TAXIWAY_KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    assert outcome.status == 2
    assert "does not read" in outcome.err


def test_who_and_why_must_be_said() -> None:
    for options in (["--actor", "ann"], ["--reason", "x"]):
        outcome = taxiway("dead-letters", "redrive", DEPLOYMENT_EVENTS.name, INGEST_PROJECTION, *options)
        assert outcome.status == 2
