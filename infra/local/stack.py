"""The real parts as one thing: `LocalStack(folder).up()` gives addresses, after `down()` nothing runs any more."""

import contextlib
import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.errors import NothingStarted, PartGiven
from infra.local.kafka.broker import Kafka
from infra.local.part import Part
from infra.local.ports import free_ports, is_listening
from infra.local.postgres import Postgres
from infra.local.record import Record, StackFile
from infra.local.redis import Redis
from infra.local.supervised import PartStatus, SupervisedPart

__all__ = ["PARTS", "Addresses", "LocalStack", "PartStatus"]

PARTS = ("kafka", "postgres", "redis")
_KINDS: dict[str, type[Part]] = {"kafka": Kafka, "postgres": Postgres, "redis": Redis}


@dataclass(frozen=True)
class Addresses:
    """Where the parts are reached, passwords included."""

    kafka_bootstrap: str
    """`host:port`"""
    postgres_dsn: str
    """Superuser: `postgresql://user:password@host:port/postgres`"""
    redis_url: str
    """`redis://:password@host:port/0`"""

    def environment(self) -> dict[str, str]:
        """The same as environment variables; a `LocalStack` made under them uses these parts and starts none."""
        return {
            Kafka.variable: self.kafka_bootstrap,
            Postgres.variable: self.postgres_dsn,
            Redis.variable: self.redis_url,
        }


class LocalStack:
    """The parts of one state directory; commands of several processes on the same directory wait for each other.

    A part whose address is in the environment when the stack is made is used as it is, never started or stopped.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir.absolute()
        self._file = StackFile(self._state_dir / "stack.json")
        self._environment = {name: os.environ.get(kind.variable) for name, kind in _KINDS.items()}

    def up(self, parts: Sequence[str] = PARTS) -> Addresses:
        """Start side by side what is not running; raises PartMissing before anything is started, else PartFailed."""
        own = [name for name in parts if self._given(_known(name)) is None]
        if all(map(self._given, PARTS)):
            return self.addresses()
        with self._locked():
            self._allot()
            chosen = [self._part(name) for name in own]
            for part in chosen:
                part.locate()
            _start_side_by_side(chosen)
            return self.addresses()

    def down(self) -> None:
        """Stop everything this stack started, in reverse; the data stays."""
        if self._file.exists():
            with self._locked():
                self._stop_all()

    def stop(self, part: str) -> None:
        """Stop one part in an orderly way, or by SIGKILL when it takes too long; raises PartGiven."""
        own = self._own(part)
        with self._locked():
            own.stop()

    def kill(self, part: str) -> None:
        """SIGKILL one part; raises PartGiven."""
        own = self._own(part)
        with self._locked():
            own.kill()

    def start(self, part: str) -> None:
        """Start one part again on the same port and data; raises PartGiven, PartMissing, PartFailed."""
        self._own(part)
        self.up((part,))

    def addresses(self) -> Addresses:
        """Where the parts are or will be; raises NothingStarted before the first `up`."""
        kafka, postgres, redis = (self._given(name) or self._part(name).part.address for name in PARTS)
        return Addresses(kafka_bootstrap=kafka, postgres_dsn=postgres, redis_url=redis)

    def status(self) -> dict[str, PartStatus]:
        """Each part by name; raises NothingStarted before the first `up`."""
        given = {name: self._given(name) for name in PARTS}
        return {name: _given_status(place) if place else self._part(name).status() for name, place in given.items()}

    def destroy(self) -> None:
        """`down`, then remove the state directory; a folder that holds anything but a stack is left alone."""
        if self._file.exists():
            with self._locked():
                for part in self._stop_all():
                    part.part.remove()
                shutil.rmtree(self._state_dir)
        elif self._state_dir.is_dir() and {entry.name for entry in self._state_dir.iterdir()} <= {"lock", "logs"}:
            shutil.rmtree(self._state_dir)  # not even allotted when it was interrupted

    def _given(self, name: str) -> str | None:
        """The address from the environment, unless it is that of our own part, exported by whoever started it."""
        address = self._environment[name]
        ours = name in self._file.read() and self._part(name).part.address == address
        return None if ours else address or None

    def _allot(self) -> None:
        """Give every part its ports and password, once and for good, so that addresses are complete from the start."""
        records = self._file.read()
        for name, kind in _KINDS.items():
            if name not in records and self._given(name) is None:
                taken = {port for record in records.values() for port in record.ports}
                records[name] = Record(free_ports(kind.port_count, taken), secrets.token_urlsafe(18))
                self._file.put(name, records[name])

    def _own(self, name: str) -> SupervisedPart:
        if self._given(_known(name)) is not None:
            raise PartGiven(f"{name} is given by {_KINDS[name].variable}: it is not ours to start or stop")
        return self._part(name)

    def _part(self, name: str) -> SupervisedPart:
        record = self._file.read().get(name)
        if record is None:
            raise NothingStarted(f"nothing was started in {self._state_dir}")
        log = self._state_dir / "logs" / f"{name}.log"
        return SupervisedPart(_KINDS[name](self._state_dir / name, log, record.ports, record.password), self._file)

    def _stop_all(self) -> list[SupervisedPart]:
        recorded = self._file.read()
        parts = [self._part(name) for name in reversed(PARTS) if name in recorded]
        for part in parts:
            part.stop()
        return parts

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._state_dir.exists() or not any(self._state_dir.iterdir()):
            self._state_dir.mkdir(parents=True, exist_ok=True)
            # Root's folder must let another account through to PostgreSQL's data, though not list it.
            self._state_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (self._state_dir / "logs").mkdir(mode=0o700, exist_ok=True)
        with (self._state_dir / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _known(name: str) -> str:
    if name not in _KINDS:
        raise ValueError(f"no part is called {name!r}; there are {', '.join(PARTS)}")
    return name


def _start_side_by_side(parts: Sequence[SupervisedPart]) -> None:
    """Start all; raise the first failure, with the others as notes. No start goes on after this returns or raises."""
    abandoned = threading.Event()
    with ThreadPoolExecutor(max_workers=len(parts) or 1) as pool:
        try:
            starts = [pool.submit(part.start, abandoned.is_set) for part in parts]
            wait(starts)
        except BaseException:
            # Ctrl-C, most often. Whoever caught it will remove the folder, under the feet of what still starts.
            abandoned.set()
            raise
    failures = [failure for start in starts if (failure := start.exception()) is not None]
    for other in failures[1:]:
        failures[0].add_note(str(other))
    if failures:
        raise failures[0]


def _given_status(address: str) -> PartStatus:
    first = address.split(",")[0]
    place = urlsplit(first if "//" in first else f"//{first}")
    running = place.port is not None and is_listening(place.port, place.hostname or "")
    return PartStatus(running=running, pid=None, port=place.port, memory_mib=None, log=None)
