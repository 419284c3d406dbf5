"""What a part is: its files, its command, its health and its address. One subclass a technology."""

import signal
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from infra.local.process import Launch


@dataclass(frozen=True)
class Part(ABC):
    """One part of a stack, with the ports and the password it was given for good."""

    name: ClassVar[str]
    variable: ClassVar[str]
    """Environment variable whose address, when set, is used instead of starting the part."""
    port_count: ClassVar[int] = 1
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_seconds: ClassVar[float]
    stop_seconds: ClassVar[float]
    """How long an orderly stop may take before SIGKILL."""

    folder: Path
    """Where all its files are; made by `prepare`."""
    log: Path
    ports: tuple[int, ...]
    password: str

    @property
    def port(self) -> int:
        """The port that clients use."""
        return self.ports[0]

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client is given to reach it."""

    @abstractmethod
    def locate(self) -> None:
        """Find the program, or install it; raises PartMissing. Called before any part is started."""

    @abstractmethod
    def prepare(self) -> Launch:
        """Write its files, at the first start its data too, and say what to run; raises PartFailed."""

    @abstractmethod
    def is_healthy(self) -> bool:
        """Whether it serves now; answers within seconds and never raises."""

    def after_stop(self) -> None:  # noqa: B027 - most have nothing to do
        """Put away what lies outside its folder while it runs."""

    def after_kill(self) -> None:  # noqa: B027
        """Clear away what the part leaves in the kernel when it is killed."""

    def remove(self) -> None:  # noqa: B027
        """Remove what it keeps outside its folder."""
