"""A part joined to its record: started when it is not running, known again, stopped by the pid we wrote down."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from infra.local import process
from infra.local.errors import PartFailed
from infra.local.part import Part
from infra.local.ports import is_listening
from infra.local.process import ProcessId
from infra.local.record import Record, StackFile


@dataclass(frozen=True)
class PartStatus:
    """How a part is right now."""

    running: bool
    pid: int | None
    """None when it is not running, or not ours."""
    port: int | None
    memory_mib: int | None
    """With its children, shared pages counted once."""
    log: Path | None
    """None when the part is not ours."""


@dataclass(frozen=True)
class SupervisedPart:
    """What to do with one part of a stack; the caller holds the stack's lock."""

    part: Part
    file: StackFile

    def locate(self) -> None:
        """Make sure it can be started; raises PartMissing. A running part need not be found."""
        if self._running() is None:
            self.part.locate()

    def start(self, is_abandoned: Callable[[], bool] = lambda: False) -> None:
        """Start it unless it runs, and wait until it is healthy; raises PartFailed, and then leaves no process.

        `is_abandoned` is asked during the wait: a caller that was interrupted ends the start by it.
        """
        if self._running() is not None:
            return self._wait(is_abandoned)
        launched = self._spawn()
        try:
            # At once, before it is healthy: whoever is interrupted now must still be able to stop it.
            self._note(launched)
            return self._wait(is_abandoned)
        except BaseException:
            self._kill(launched)
            raise

    def stop(self) -> None:
        """Ask it to end, and kill it when it does not."""
        process.stop(self._record.process, self.part.stop_signal, self.part.stop_seconds)
        self._note(None)
        self.part.after_stop()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._kill(self._record.process)

    def status(self) -> PartStatus:
        """How it is now."""
        running = self._running()
        return PartStatus(
            running=running is not None,
            pid=running.pid if running else None,
            port=self.part.port,
            memory_mib=process.memory_mib(running) if running else None,
            log=self.part.log,
        )

    @property
    def _record(self) -> Record:
        return self.file.read()[self.part.name]

    def _running(self) -> psutil.Process | None:
        return process.find(self._record.process)

    def _spawn(self) -> ProcessId:
        launch = self.part.prepare()
        # Else somebody else's server could answer the health check in place of ours.
        if taken := [port for port in self.part.ports if is_listening(port)]:
            raise PartFailed(f"{self.part.name}: another process listens on port {taken[0]}")
        return process.spawn(launch, self.part.log)

    def _wait(self, is_abandoned: Callable[[], bool]) -> None:
        def is_settled() -> bool:
            if is_abandoned():
                raise PartFailed(f"{self.part.name}: the start was abandoned")
            return self.part.is_healthy()

        process.wait_healthy(self._record.process, is_settled, self.part.start_seconds, self.part.log)

    def _kill(self, victim: ProcessId | None) -> None:
        process.stop(victim, signal.SIGKILL, self.part.stop_seconds)
        self.part.after_kill()
        self._note(None)

    def _note(self, running: ProcessId | None) -> None:
        self.file.put(self.part.name, replace(self._record, process=running))
