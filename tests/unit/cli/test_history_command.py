"""`taxiway history --from-log`: what Kafka alone says, by id or by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from schemas.topics import Topic
from services.cli import history, history_command
from services.kit.messaging.replay import Replayed
from tests.unit.cli.door import Door, taxiway
from tests.unit.cli.events import DEPLOYMENT, PAUSED, REQUESTED, RESERVED, event, logged
from tests.unit.cli.resources import shown

KAFKA = {"TAXIWAY_KAFKA_BOOTSTRAP": "k:9"}


class InMemoryLog:
    """A log that is there, with these records."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records: list[Replayed] = []
        monkeypatch.setattr(history, "replay", self.replay)
        monkeypatch.setattr(history_command, "open_log", self.open)

    def replay(self, bootstrap: str, topics: Sequence[Topic], *, key: str) -> Iterator[Replayed]:
        """As the real one, for one key."""
        assert bootstrap == "k:9"
        names = {topic.name for topic in topics}
        return (each for each in self.records if each.record.key == key.encode() and each.record.topic in names)

    @contextmanager
    def open(self, *_: Any) -> Iterator[None]:
        """It is there."""
        yield


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> InMemoryLog:
    """Three records of the deployment, the last one of two seconds later."""
    made = InMemoryLog(monkeypatch)
    made.records = [
        logged(event("e1", REQUESTED), 0),
        logged(event("e2", RESERVED, cause="e1", actor="service:scheduler"), 40),
        logged(event("e3", PAUSED), 2040),
    ]
    return made


def test_by_id_nobody_but_kafka_is_asked(log: InMemoryLog) -> None:
    outcome = taxiway("history", str(DEPLOYMENT), "--from-log", env=KAFKA)
    assert outcome.status == 0, outcome.err
    first, second, third = [line for line in outcome.out.splitlines() if "2026-03-01" in line]
    assert "user:ann" in first
    assert second.rstrip().endswith("0.040"), "the lag behind its cause, in seconds to the millisecond"
    assert "12:00:02.040" in third
    assert third.rstrip().endswith("2.000")


def test_by_name_the_api_is_asked_for_the_id_alone(log: InMemoryLog) -> None:
    door = Door({"GET /deployments": [shown()]})
    outcome = taxiway("history", "chat", "--from-log", "--json", door=door, env=KAFKA)
    assert outcome.status == 0, outcome.err
    assert [path.partition("?")[0] for _, path in door.asked] == ["/deployments"]
    assert [line["event_id"] for line in outcome.json] == ["e1", "e2", "e3"]
    assert outcome.json[1] | {"lag_seconds": 0.04, "position": "taxiway.placement.events.v1/0/0"} == outcome.json[1]
    assert outcome.json[0]["appended_at"] == "2026-03-01T12:00:00.000000Z"


def test_of_a_deployment_that_never_was_the_log_says_nothing(log: InMemoryLog) -> None:
    outcome = taxiway("history", str(UUID(int=99)), "--from-log", env=KAFKA)
    assert (outcome.status, outcome.out) == (1, "")
    assert "says nothing" in outcome.err
