"""Processes: known again by start time, stopped with their children, never mistaken for another."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from infra.local import process
from infra.local.errors import PartFailed
from infra.local.process import Launch, ProcessId
from tests.unit.infra.sleepers import DIES, SLEEP, STUBBORN, WITH_CHILD, python


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the process writes."""
    return tmp_path / "thing.log"


@pytest.fixture
def sleeper(tmp_path: Path, log: Path) -> Iterator[ProcessId]:
    """A process that does nothing for a minute."""
    started = process.spawn(python(SLEEP, tmp_path), log)
    yield started
    process.stop(started, signal.SIGKILL, 5)


def is_alive(pid: int) -> bool:
    return bool(psutil.pid_exists(pid))


def test_a_spawned_process_is_found_in_a_session_of_its_own(sleeper: ProcessId) -> None:
    found = process.find(sleeper)
    assert found is not None
    assert found.pid == sleeper.pid
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_a_later_process_with_the_same_pid_is_foreign(sleeper: ProcessId) -> None:
    earlier = replace(sleeper, started="some earlier boot/1")
    assert process.find(earlier) is None
    process.stop(earlier, signal.SIGKILL, 1)
    assert is_alive(sleeper.pid)


def test_nothing_is_found_without_a_record() -> None:
    assert process.find(None) is None
    process.stop(None, signal.SIGTERM, 1)


def test_a_process_that_ended_by_itself_is_not_found_and_leaves_no_zombie(tmp_path: Path, log: Path) -> None:
    started = process.spawn(python("pass", tmp_path), log)
    deadline = time.monotonic() + 10
    while process.find(started) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(started.pid)


def test_stop_returns_when_it_is_gone(sleeper: ProcessId) -> None:
    process.stop(sleeper, signal.SIGTERM, 5)
    assert not is_alive(sleeper.pid)
    process.stop(sleeper, signal.SIGTERM, 5)


def test_what_ignores_the_signal_is_killed_after_its_time(tmp_path: Path, log: Path) -> None:
    started = process.spawn(python(STUBBORN, tmp_path), log)
    process.wait_healthy(started, lambda: "deaf" in log.read_text(), 10, log)
    process.stop(started, signal.SIGTERM, 0.2)
    assert not is_alive(started.pid)


def test_children_do_not_outlive_a_killed_process(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_CHILDREN_SECONDS", 0.2)
    started = process.spawn(python(WITH_CHILD, tmp_path), log)
    parent = psutil.Process(started.pid)
    process.wait_healthy(started, lambda: bool(parent.children()), 10, log)
    child = parent.children()[0]
    process.stop(started, signal.SIGKILL, 5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_it_survives_its_starter(tmp_path: Path, log: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from infra.local import process; from tests.unit.infra import sleepers; "
        "started = process.spawn(sleepers.python(sleepers.SLEEP, Path(sys.argv[1])), Path(sys.argv[2])); "
        "print(started.pid, started.started)"
    )
    repository = Path(__file__).parents[3]
    starter = (sys.executable, "-W", "error", "-c", code, str(tmp_path), str(log))
    done = subprocess.run(starter, capture_output=True, text=True, check=True, cwd=repository)
    pid, mark = done.stdout.split()
    started = ProcessId(int(pid), mark)
    assert process.find(started) is not None
    assert done.stderr == ""
    process.stop(started, signal.SIGTERM, 5)
    assert process.find(started) is None


def test_the_environment_of_the_starter_stays_out(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    launch = Launch((sys.executable, "-c", "import os; print(sorted(os.environ))"), tmp_path, environment={"MINE": "1"})
    process.run(launch, log, 10)
    assert "MINE" in log.read_text()
    assert "PGPORT" not in log.read_text()


def test_a_process_that_dies_while_starting_is_told_with_its_last_words(tmp_path: Path, log: Path) -> None:
    started = process.spawn(python(DIES, tmp_path), log)
    with pytest.raises(PartFailed, match=r"(?s)thing ended while it was starting.*no such luck"):
        process.wait_healthy(started, lambda: False, 10, log)


def test_one_that_never_gets_healthy_is_told_after_its_time(sleeper: ProcessId, log: Path) -> None:
    with pytest.raises(PartFailed, match="thing was not healthy after 0 s"):
        process.wait_healthy(sleeper, lambda: False, 0.1, log)


def test_a_command_that_fails_is_told_with_its_output(tmp_path: Path, log: Path) -> None:
    with pytest.raises(PartFailed, match=r"(?s)python.* failed.*no such luck"):
        process.run(python(DIES, tmp_path), log, 10)


def test_a_command_that_hangs_is_ended(tmp_path: Path, log: Path) -> None:
    with pytest.raises(PartFailed, match="timed out"):
        process.run(python(SLEEP, tmp_path), log, 0.2)


def test_the_tail_is_the_last_lines_only(log: Path) -> None:
    assert process.log_tail(log) == ""
    log.write_text("\n".join(str(number) for number in range(100)))
    assert process.log_tail(log, lines=2) == "  98\n  99"


def test_memory_is_measured(sleeper: ProcessId) -> None:
    found = process.find(sleeper)
    assert found is not None
    while (memory := process.memory_mib(found)) == 0:  # it has not loaded anything yet
        continue
    assert memory is not None
    assert memory < 200
