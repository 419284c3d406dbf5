"""The local platform's commands where there is none, and how its parts are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
