"""A Kafka that is not there is told in one quiet line."""

from __future__ import annotations

import pytest

from schemas.topics import DEPLOYMENT_EVENTS, INGEST_PROJECTION
from services.cli import log
from tests.unit.cli.door import taxiway
from tests.unit.cli.events import DEPLOYMENT

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    "command",
    [
        f"history {DEPLOYMENT} --from-log",
        "dead-letters list",
        f"dead-letters redrive {DEPLOYMENT_EVENTS.name} {INGEST_PROJECTION} --actor ann --reason why",
    ],
)
def test_a_kafka_that_is_not_there(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log, "REQUEST_SECONDS", 0.3)
    outcome = taxiway(*command.split(), env={"TAXIWAY_KAFKA_BOOTSTRAP": NOBODY})
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert NOBODY in outcome.err
    assert "taxiway up" in outcome.err
    assert capfd.readouterr() == ("", "")
