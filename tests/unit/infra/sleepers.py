"""Small real processes to start, lose and stop, and a part made of one."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from infra.local.part import Part
from infra.local.ports import is_listening
from infra.local.process import Launch

SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
WITH_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
DIES = "import sys; sys.exit('no such luck')"
LISTENS = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(60)
"""


def python(code: str, folder: Path, *arguments: str) -> Launch:
    """A Python process that runs `code`."""
    return Launch((sys.executable, "-S", "-c", code, *arguments), folder)


@dataclass(frozen=True)
class ListeningPart(Part):
    """A part that is healthy as soon as it listens; `code` may keep it from that."""

    name: ClassVar[str] = "listener"
    variable: ClassVar[str] = "LISTENER_ADDRESS"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_seconds: ClassVar[float] = 5
    stop_seconds: ClassVar[float] = 0.5

    code: str = LISTENS

    @property
    def address(self) -> str:
        """`host:port`"""
        return f"127.0.0.1:{self.port}"

    def locate(self) -> None:
        """Python is here."""

    def prepare(self) -> Launch:
        """Nothing to write."""
        return python(self.code, self.folder, str(self.port))

    def is_healthy(self) -> bool:
        """Whether it listens."""
        return is_listening(self.port)
