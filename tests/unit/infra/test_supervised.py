"""One part over its life: started once, found again, stopped, and no process left when a start fails."""

import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from infra.local import process
from infra.local.errors import PartFailed
from infra.local.ports import free_ports
from infra.local.record import Record, StackFile
from infra.local.supervised import SupervisedPart
from tests.unit.infra.sleepers import DIES, SLEEP, ListeningPart


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[SupervisedPart]:
    """A part that listens when it is started."""
    file = StackFile(tmp_path / "stack.json")
    ports = free_ports(1)
    file.put("listener", Record(ports, "secret"))
    one = SupervisedPart(ListeningPart(tmp_path, tmp_path / "listener.log", ports, "secret"), file)
    yield one
    one.kill()


def running_code(supervised: SupervisedPart, code: str) -> SupervisedPart:
    assert isinstance(supervised.part, ListeningPart)
    return replace(supervised, part=replace(supervised.part, code=code))


def recorded_pid(supervised: SupervisedPart) -> int | None:
    recorded = supervised.file.read()["listener"].process
    return recorded.pid if recorded else None


def test_it_is_down_at_first(supervised: SupervisedPart) -> None:
    status = supervised.status()
    assert (status.running, status.pid, status.memory_mib) == (False, None, None)
    assert status.port == supervised.part.port


def test_a_start_ends_with_a_healthy_part(supervised: SupervisedPart) -> None:
    supervised.start()
    status = supervised.status()
    assert status.running
    assert status.pid == recorded_pid(supervised)
    assert supervised.part.is_healthy()


def test_a_second_start_keeps_the_process(supervised: SupervisedPart) -> None:
    supervised.start()
    first = recorded_pid(supervised)
    supervised.start()
    assert recorded_pid(supervised) == first


def test_the_other_signal_handling_of_stop_and_kill(supervised: SupervisedPart) -> None:
    for end in (supervised.stop, supervised.kill):
        supervised.start()
        end()
        assert recorded_pid(supervised) is None
        assert not supervised.part.is_healthy()


def test_a_part_that_crashed_is_started_anew(supervised: SupervisedPart) -> None:
    supervised.start()
    crashed = supervised.file.read()["listener"].process
    process.stop(crashed, signal.SIGKILL, 5)
    assert not supervised.status().running
    supervised.start()
    assert supervised.status().running


def test_a_failed_start_leaves_no_process(supervised: SupervisedPart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListeningPart, "start_seconds", 0.3)
    deaf = running_code(supervised, SLEEP)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(PartFailed, match="not healthy"):
        deaf.start()
    assert {child.pid for child in psutil.Process().children()} == before
    assert recorded_pid(supervised) is None


def test_a_start_that_dies_says_why(supervised: SupervisedPart) -> None:
    with pytest.raises(PartFailed, match="no such luck"):
        running_code(supervised, DIES).start()


def test_a_running_part_that_stalls_is_not_killed_by_a_start(
    supervised: SupervisedPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervised.start()
    pid = recorded_pid(supervised)
    monkeypatch.setattr(ListeningPart, "start_seconds", 0.2)
    monkeypatch.setattr(ListeningPart, "is_healthy", lambda _self: False)
    with pytest.raises(PartFailed, match="not healthy"):
        supervised.start()
    assert supervised.status().pid == pid


def test_an_abandoned_start_leaves_no_process(supervised: SupervisedPart) -> None:
    questions = iter((False, True))
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(PartFailed, match="the start was abandoned"):
        running_code(supervised, SLEEP).start(lambda: next(questions))
    assert recorded_pid(supervised) is None
    assert {child.pid for child in psutil.Process().children()} <= before


def test_an_interrupted_start_leaves_no_process(supervised: SupervisedPart) -> None:
    def interrupted() -> bool:
        raise KeyboardInterrupt

    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(KeyboardInterrupt):
        running_code(supervised, SLEEP).start(interrupted)
    assert recorded_pid(supervised) is None
    assert {child.pid for child in psutil.Process().children()} <= before


def test_what_a_part_leaves_is_cleared_away_after_a_kill_and_put_away_after_a_stop(
    supervised: SupervisedPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def note(what: str) -> None:
        assert recorded_pid(supervised) is None or not supervised.status().running
        called.append(what)

    monkeypatch.setattr(ListeningPart, "after_kill", lambda _: note("kill"))
    monkeypatch.setattr(ListeningPart, "after_stop", lambda _: note("stop"))
    supervised.start()
    supervised.kill()
    assert called == ["kill"]
    supervised.start()
    supervised.stop()
    assert called == ["kill", "stop"]


def test_a_start_whose_folder_is_removed_meanwhile_leaves_no_process(
    supervised: SupervisedPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StackFile, "put", _fail)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(FileNotFoundError):
        supervised.start()
    monkeypatch.undo()
    assert {child.pid for child in psutil.Process().children()} <= before


def test_a_port_of_somebody_else_is_not_taken_for_ours(supervised: SupervisedPart) -> None:
    with (
        socket.create_server(("127.0.0.1", supervised.part.port)),
        pytest.raises(PartFailed, match=f"another process listens on port {supervised.part.port}"),
    ):
        supervised.start()


def _fail(*_arguments: object) -> None:
    raise FileNotFoundError
