"""Processes that outlive their parent: start, know again by pid and start time, wait for health, stop."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from infra.local.account import Account
from infra.local.errors import PartFailed

_POLL_SECONDS = 0.05
_CHILDREN_SECONDS = 5.0
"""How long the children of a stopped process may take to notice."""
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "HOME")
_MIB = 1024 * 1024


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: str
    """Boot and clock tick of its start: unlike a time of day, it is the same after the clock was set."""


@dataclass(frozen=True)
class Launch:
    """A command and the surroundings it runs in."""

    argv: Sequence[str]
    folder: Path
    account: Account | None = None
    """Whom to become before the command runs; None stays as it is."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to PATH and a C locale: a server must not pick up PGPORT, credentials and the like from its starter."""


def spawn(launch: Launch, log: Path) -> ProcessId:
    """Start a process of its own session that survives its parent, its output appended to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(launch.argv, start_new_session=True, stdout=output, **_surroundings(launch))
    # Popen warns when it is collected before its child ended, which is the point here.
    child.returncode = 0
    return ProcessId(child.pid, start_mark(child.pid) or "")


def run(launch: Launch, log: Path, seconds: float) -> None:
    """Run a command to its end; raises PartFailed with the end of its output."""
    with log.open("ab") as output:
        try:
            subprocess.run(launch.argv, check=True, timeout=seconds, stdout=output, **_surroundings(launch))
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise PartFailed(f"{Path(launch.argv[0]).name} failed: {error}\n{log_tail(log)}") from error


def _surroundings(launch: Launch) -> dict[str, Any]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    identity: dict[str, Any] = {}
    if launch.account is not None:
        identity = {"user": launch.account.uid, "group": launch.account.gid, "extra_groups": ()}
    return {
        "cwd": launch.folder,
        "env": {**inherited, "LC_ALL": "C", **launch.environment},
        "stdin": subprocess.DEVNULL,
        "stderr": subprocess.STDOUT,
        **identity,
    }


def start_mark(pid: int) -> str | None:
    """What tells this start of `pid` from every other; None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{fields[19]}"
    except OSError:
        pass
    with contextlib.suppress(psutil.Error):  # no procfs: there the start time of day is all there is
        return f"{psutil.Process(pid).create_time():.2f}"
    return None


def find(process_id: ProcessId | None) -> psutil.Process | None:
    """The live process behind `process_id`; None when it ended, whoever has its number now."""
    if process_id is None or start_mark(process_id.pid) != process_id.started:
        return None
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(process_id.pid)
        return None if _is_gone(process) else process
    return None


def stop(process_id: ProcessId | None, stop_signal: signal.Signals, seconds: float) -> None:
    """Send `stop_signal`, then SIGKILL after `seconds`; return when the process and its children are gone."""
    process = find(process_id)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        children = process.children(recursive=True)
        process.send_signal(stop_signal)
        end([process], seconds)
        end(children, _CHILDREN_SECONDS)


def end(processes: Iterable[psutil.Process], seconds: float) -> None:
    """Wait up to `seconds` for `processes` to end by themselves, then kill what is left."""
    left = _wait_gone(processes, seconds)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_gone(left, _CHILDREN_SECONDS)


def wait_healthy(process_id: ProcessId | None, is_healthy: Callable[[], bool], seconds: float, log: Path) -> None:
    """Return when `is_healthy`; raises PartFailed with the end of `log` if the process ends or `seconds` pass."""
    deadline = time.monotonic() + seconds
    while not is_healthy():
        if find(process_id) is None:
            raise PartFailed(f"{log.stem} ended while it was starting; the end of {log}:\n{log_tail(log)}")
        if time.monotonic() > deadline:
            raise PartFailed(f"{log.stem} was not healthy after {seconds:.0f} s; the end of {log}:\n{log_tail(log)}")
        time.sleep(_POLL_SECONDS)


def log_tail(log: Path, lines: int = 20) -> str:
    """The last `lines` of `log`, indented; empty when there is none."""
    with contextlib.suppress(OSError):
        return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
    return ""


def memory_mib(process: psutil.Process) -> int | None:
    """Memory of the process and its children, pages that they share counted once; None when it just ended."""
    with contextlib.suppress(psutil.Error):
        family = [process, *process.children(recursive=True)]
        return int(sum(member.memory_full_info().pss for member in family)) // _MIB
    return None


def _wait_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    left = list(processes)
    deadline = time.monotonic() + seconds
    while (left := [process for process in left if not _is_gone(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


def _is_gone(process: psutil.Process) -> bool:
    try:
        process.wait(0)  # collects a child of ours, which else would stay a zombie under its pid
    except psutil.TimeoutExpired:
        # A zombie that its parent does not collect is gone too; but as long as other threads of it are dying, as in
        # a killed JVM, it still holds its ports.
        with contextlib.suppress(psutil.NoSuchProcess):
            return bool(process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1)
    return True
