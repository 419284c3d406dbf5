"""Where PostgreSQL's files are: in the part's folder, or out of it while a server needs them that cannot get in there.

Root's server runs under an account without privileges. Where the state directory lies below a folder that is closed to
that account (root's home, a test's own temporary folder), opening it is not ours to do: from a start to the stop the
files are in a temporary folder, and the part's folder is a link to it. A crash leaves them there; the link still leads
to them. Whatever moment a move is cut short at, one whole copy is found again by the next one.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

from infra.local.account import Account
from infra.local.errors import PartFailed

_OPEN_TO_ALL = "/var/tmp"  # noqa: S108 - a folder of our own is made in it


def move_out(folder: Path, account: Account | None) -> Path:
    """Make `folder` if it is not there, and see that `account` can get at what is in it; returns where that is."""
    _recover(folder)
    if not folder.exists():
        folder.unlink(missing_ok=True)  # a link whose target was cleaned away, and the data with it
        folder.mkdir(mode=0o700)
        if account is not None:
            account.own(folder)
    if account is None or folder.is_symlink() or account.can_execute(folder):
        return folder.resolve()
    outside = _outside(account)
    _link_of(folder).symlink_to(outside)
    _move(folder, outside, account)
    _link_of(folder).rename(folder)
    return outside


def move_back(folder: Path, account: Account | None) -> None:
    """Bring back what was moved out; nothing happens when nothing was."""
    _recover(folder)
    if not folder.is_symlink() or not folder.exists():
        return
    outside, draft = folder.resolve(), _draft_of(folder)
    _move(outside, draft, account)
    folder.unlink()
    draft.rename(folder)


def _link_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.link")


def _draft_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.draft")


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _recover(folder: Path) -> None:
    """End a move that was cut short: what arrived whole is taken, what did not is thrown away."""
    link, draft = _link_of(folder), _draft_of(folder)
    shutil.rmtree(_part_of(draft), ignore_errors=True)
    if draft.exists():
        if folder.is_symlink():
            shutil.rmtree(folder.resolve(), ignore_errors=True)
            folder.unlink()
        draft.rename(folder)
    if link.is_symlink():
        outside = link.resolve()
        shutil.rmtree(_part_of(outside), ignore_errors=True)
        if outside.is_dir() and any(outside.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
            link.rename(folder)
        else:
            shutil.rmtree(outside, ignore_errors=True)
            link.unlink()


def _move(source: Path, target: Path, account: Account | None) -> None:
    """Rename, or on another file system copy; what stands at `target` is whole."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = _part_of(target)
        shutil.copytree(source, part, symlinks=True, ignore=_sockets)
        if account is not None:
            account.own(part)
        part.rename(target)
        shutil.rmtree(source)


def _sockets(folder: str, names: list[str]) -> set[str]:
    """Those of a killed server; nothing copies a socket."""
    return {name for name in names if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode)}


def _outside(account: Account) -> Path:
    for parent in dict.fromkeys((tempfile.gettempdir(), _OPEN_TO_ALL)):  # the first is a private one for some users
        folder = Path(tempfile.mkdtemp(prefix="taxiway-postgres-", dir=parent))
        account.own(folder)
        if account.can_execute(folder):
            return folder
        folder.rmdir()
    raise PartFailed(f"postgres: {account.name} cannot enter {parent}: set TMPDIR to a folder it can")
