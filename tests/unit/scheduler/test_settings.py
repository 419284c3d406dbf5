"""Settings come from the environment; a bad one is refused with its name."""

from __future__ import annotations

import pytest

from services.kit.settings import load
from services.scheduler.settings import SchedulerSettings

DSN = "postgresql://taxiway_scheduler_worker:secret@127.0.0.1:5432/taxiway"


def test_what_is_set_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIWAY_SCHEDULER_POSTGRES_DSN", DSN)
    monkeypatch.setenv("TAXIWAY_SCHEDULER_POOLS", '["default", "h100"]')
    settings = load(SchedulerSettings)
    assert settings.pools == ("default", "h100")
    assert (settings.policy, settings.batch_size, settings.health_port) == ("default", 200, 0)
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("POLICY", "nope", "'nope' is not known"), ("BATCH_SIZE", "0", "greater than"), ("POOLS", "[]", "at least 1")],
)
def test_what_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, words: str
) -> None:
    monkeypatch.setenv("TAXIWAY_SCHEDULER_POSTGRES_DSN", DSN)
    monkeypatch.setenv(f"TAXIWAY_SCHEDULER_{name}", value)
    with pytest.raises(SystemExit):
        load(SchedulerSettings)
    printed = capsys.readouterr().err
    assert f"TAXIWAY_SCHEDULER_{name}" in printed
    assert words in printed
