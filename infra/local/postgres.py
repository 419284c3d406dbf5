"""PostgreSQL: data, settings, command and health of one server."""

import contextlib
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import psutil

from infra.local import postgres_home, postgres_program
from infra.local.account import Account, unprivileged
from infra.local.errors import PartFailed
from infra.local.part import Part
from infra.local.ports import LOOPBACK, is_listening
from infra.local.postgres_program import Program
from infra.local.process import Launch, end, run

SUPERUSER = "postgres"
_INITDB_SECONDS = 60.0
_ORPHAN_SECONDS = 10.0
_LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), less its closing zero


def configuration(port: int, sockets: Path) -> dict[str, str]:
    """Server settings; what is not here stays as it is shipped, fsync above all, for tests kill this server."""
    fits = len(str(sockets / f".s.PGSQL.{port}")) <= _LONGEST_SOCKET_PATH
    return {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": str(sockets) if fits else "",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # In its data folder, so that a killed server leaves nothing in /dev/shm.
        "dynamic_shared_memory_type": "mmap",
    }


class Postgres(Part):
    """One server with a superuser that has a password, under an unprivileged account when this process is root."""

    name: ClassVar[str] = "postgres"
    variable: ClassVar[str] = "TAXIWAY_POSTGRES_ADMIN_DSN"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # fast shutdown; SIGTERM would wait for every client to leave
    start_seconds: ClassVar[float] = 60
    stop_seconds: ClassVar[float] = 20

    @property
    def address(self) -> str:
        """DSN of the superuser."""
        return f"postgresql://{SUPERUSER}:{self.password}@{LOOPBACK}:{self.port}/postgres"

    def locate(self) -> None:
        """Find a program of the version that the data is of."""
        postgres_program.choose(self._data_major())

    def prepare(self) -> Launch:
        """At the first start make the data; after a crash clear away what would keep the server from starting."""
        account = unprivileged()
        home = postgres_home.move_out(self.folder, account)
        program = postgres_program.choose(self._data_major()).for_account(account, home / "program")
        if not (home / "data").exists():
            self._initialise(program, home, account)
        self._bury_the_dead(home / "data")
        settings = configuration(self.port, home).items()
        options = [word for key, value in settings for word in ("-c", f"{key}={value}")]
        return Launch((str(program.binaries / "postgres"), "-D", str(home / "data"), *options), home, account)

    def is_healthy(self) -> bool:
        """Whether the server says so in the eighth line of postmaster.pid, as pg_ctl reads it, and listens still."""
        lines = self._postmaster_file()
        return len(lines) > 7 and lines[7].strip() == "ready" and is_listening(self.port)

    def after_kill(self) -> None:
        """Remove the System V segment that guards the data folder, which outlives a killed server."""
        lines = self._postmaster_file()
        if len(lines) > 6 and lines[6].split():
            subprocess.run(("ipcrm", "-m", lines[6].split()[-1]), capture_output=True)

    def after_stop(self) -> None:
        """Bring the data back where it had to be put elsewhere."""
        postgres_home.move_back(self.folder, unprivileged())

    def remove(self) -> None:
        """Remove the data where it had to be put elsewhere."""
        if self.folder.is_symlink():
            shutil.rmtree(self.folder.resolve(), ignore_errors=True)

    def _data_major(self) -> int | None:
        with contextlib.suppress(OSError):
            return int((self.folder / "data" / "PG_VERSION").read_text())
        return None

    def _initialise(self, program: Program, home: Path, account: Account | None) -> None:
        secret, draft = home / "password", home / "draft"
        shutil.rmtree(draft, ignore_errors=True)  # of an attempt that was cut short
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if account is not None:
            account.own(secret)
        options = (f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync")
        command = (str(program.binaries / "initdb"), "-D", str(draft), "-U", SUPERUSER, *options)
        try:
            run(Launch(command, home, account), self.log, _INITDB_SECONDS)
        finally:
            secret.unlink()
        draft.rename(home / "data")

    def _bury_the_dead(self, data: Path) -> None:
        """Wait for backends whose server was killed behind our back, then drop the lock file it left.

        With both in place a start is refused: the backends still hold the shared memory, and the server's pid may be
        somebody else's by now.
        """
        at_work = [process for process in psutil.process_iter() if _works_in(process, data)]
        server = next(iter(self._postmaster_file()), "").strip()
        if server in {str(process.pid) for process in at_work}:
            raise PartFailed(f"postgres: process {server}, which this stack did not start, serves {data}")
        end(at_work, _ORPHAN_SECONDS)
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _postmaster_file(self) -> list[str]:
        with contextlib.suppress(OSError):
            return (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        return []


def _works_in(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return Path(process.cwd()) == folder
    return False
