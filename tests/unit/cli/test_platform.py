"""The local platform's commands where there is none, and how its parts are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from infra.local import platform as module
from infra.local.errors import PartMissing
from services.cli.platform import state_of
from tests.unit.cli.door import taxiway


@pytest.mark.parametrize(
    ("part", "state"),
    [
        ({"running": False, "ready": False}, "stopped"),
        ({"running": True, "ready": False}, "not ready"),
        ({"running": True, "ready": True}, "ready"),
        ({"running": True}, "ready"),
        ({}, "stopped"),
    ],
)
def test_the_state_of_a_part(part: dict[str, Any], state: str) -> None:
    assert state_of(part) == state


def test_without_a_platform_one_line_says_so(tmp_path: Path) -> None:
    outcome = taxiway("status", env={"TAXIWAY_STATE": str(tmp_path / "state")})
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "state" / "platform.json").exists()


def test_what_does_not_run_is_stopped_already(tmp_path: Path) -> None:
    outcome = taxiway("down", env={"TAXIWAY_STATE": str(tmp_path / "state")})
    assert (outcome.status, outcome.out) == (0, "stopped\n")


class RecordedPlatform:
    """A platform that runs nothing, and remembers what it was told; a part may be missing on the machine."""

    calls: ClassVar[list[str]] = []
    parts: ClassVar[dict[str, dict[str, Any]]] = {}
    missing: ClassVar[str | None] = None

    def __init__(self, state: Path) -> None:
        self._state = state

    def up(self) -> None:
        """Write what a real one would."""
        if self.missing is not None:
            raise PartMissing(self.missing)
        self._state.mkdir(exist_ok=True)
        described = {"api_url": "http://127.0.0.1:1", "kafka_bootstrap": "127.0.0.1:2", "operator_token": "secret"}
        (self._state / "platform.json").write_text(json.dumps(described))
        self.calls.append("up")

    def down(self) -> None:
        """Stop."""
        self.calls.append("down")

    def destroy(self) -> None:
        """Stop, and remove all."""
        self.calls.append("destroy")

    def status(self) -> dict[str, dict[str, Any]]:
        """As the test says."""
        return self.parts


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> type[RecordedPlatform]:
    """It, in the place of the real one."""
    fresh = type("Fresh", (RecordedPlatform,), {"calls": [], "parts": {}, "missing": None})
    monkeypatch.setattr(module, "Platform", fresh)
    return fresh


@pytest.mark.parametrize(
    ("options", "call", "told"),
    [([], "down", "stopped\n"), (["--purge"], "destroy", "stopped, and its data removed\n")],
)
def test_down_keeps_the_data_unless_it_is_told_to_remove_it(
    platform: type[RecordedPlatform], options: list[str], call: str, told: str
) -> None:
    assert taxiway("down", *options).out == told
    assert platform.calls == [call]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_up_tells_where_it_is_and_keeps_the_operators_token_to_itself(
    platform: type[RecordedPlatform], options: list[str], tmp_path: Path
) -> None:
    outcome = taxiway("up", *options, env={"TAXIWAY_STATE": str(tmp_path / "state")})
    assert outcome.status == 0
    assert "http://127.0.0.1:1" in outcome.out
    assert "secret" not in outcome.out + outcome.err


def test_a_part_that_is_missing_is_one_line(platform: type[RecordedPlatform]) -> None:
    platform.missing = "redis: install redis-server"
    outcome = taxiway("up")
    assert (outcome.status, outcome.out, outcome.err) == (1, "", "redis: install redis-server\n")


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize(("is_ready", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_tells_whether_all_take_work(
    platform: type[RecordedPlatform], is_ready: bool, status: int, options: list[str]
) -> None:
    platform.parts = {
        "kafka": {"running": True, "pid": 7, "port": 9092, "memory_mib": 300, "log": None},
        "metering-0": {"running": True, "ready": is_ready, "pid": 8, "port": 9, "memory_mib": 100, "log": "m.log"},
    }
    outcome = taxiway("status", *options)
    assert outcome.status == status
    assert "metering-0" in outcome.out
    assert "9092" in outcome.out
