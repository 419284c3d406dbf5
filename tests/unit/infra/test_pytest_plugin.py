"""The fixtures' promises: a missing part skips, or fails in CI; what a killed session left is swept away."""

import os
import subprocess
from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from infra.local import process
from infra.local.errors import PartMissing
from infra.local.pytest_plugin import start_or_skip, sweep
from infra.local.record import Record, StackFile
from infra.local.stack import LocalStack
from tests.unit.infra.sleepers import SLEEP, python


class BareMachineStack(LocalStack):
    """A stack on a machine that has nothing."""

    def up(self, parts: object = ()) -> None:  # type: ignore[override]
        raise PartMissing("redis: install redis-server")


def left_behind(folder: Path, owner: int) -> tuple[Path, process.ProcessId]:
    """A test stack of the session with pid `owner`, with one process."""
    state = folder / f"taxiway-test-{owner}-abc"
    state.mkdir()
    (state / "logs").mkdir()
    running = process.spawn(python(SLEEP, state), state / "logs" / "redis.log")
    StackFile(state / "stack.json").put("redis", Record((1,), "", running))
    return state, running


def ended_pid() -> int:
    with subprocess.Popen(("true",)) as brief:
        return brief.pid


def test_a_missing_part_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(Skipped, match="install redis-server"):
        start_or_skip(BareMachineStack(tmp_path))


def test_a_missing_part_fails_in_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(Failed, match="install redis-server"):
        start_or_skip(BareMachineStack(tmp_path))


def test_the_stack_of_a_session_that_is_gone_is_swept(tmp_path: Path) -> None:
    state, running = left_behind(tmp_path, ended_pid())
    sweep(tmp_path)
    assert process.find(running) is None
    assert not state.exists()


def test_the_stack_of_a_living_session_is_left(tmp_path: Path) -> None:
    state, running = left_behind(tmp_path, os.getpid())
    sweep(tmp_path)
    assert process.find(running) is not None
    LocalStack(state).destroy()
    assert process.find(running) is None


def test_folders_of_others_are_left(tmp_path: Path) -> None:
    (tmp_path / "taxiway-test-person-abc").mkdir()
    sweep(tmp_path)
    assert (tmp_path / "taxiway-test-person-abc").exists()
