"""The account that PostgreSQL runs under, because it refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NAMES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user of this machine without privileges."""

    name: str
    uid: int
    gid: int

    def can_execute(self, path: Path) -> bool:
        """Whether it may run the file, or enter the folder, `path`: asked of the kernel, so that ACLs count too."""
        command = ("test", "-x", str(path))
        return subprocess.run(command, user=self.uid, group=self.gid, extra_groups=(), cwd="/").returncode == 0

    def own(self, *paths: Path) -> None:
        """Make it the owner of each of `paths` and of everything below."""
        for path in paths:
            os.chown(path, self.uid, self.gid)
            for below in path.rglob("*"):
                os.chown(below, self.uid, self.gid, follow_symlinks=False)


def unprivileged() -> Account | None:
    """The account to drop to when this process is root; None when it is not, and nothing has to be dropped."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in _NAMES if name in known)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
