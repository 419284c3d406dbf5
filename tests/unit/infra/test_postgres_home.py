"""The files of a server that cannot get at them are moved out and back, and never lost on the way."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local import postgres_home
from infra.local.account import Account, unprivileged
from infra.local.errors import PartFailed
from infra.local.postgres_home import move_back, move_out

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


@pytest.fixture
def account() -> Account:
    """Whom the server runs under."""
    found = unprivileged()
    assert found is not None
    return found


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The machine's temporary folder, which the account can enter."""
    folder = Path("/tmp") / f"home-{os.getpid()}"  # noqa: S108 - pytest's own is closed
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(postgres_home, "_OPEN_TO_ALL", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The part's folder in a place that is closed to the account; not made yet."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    return closed / "postgres"


@pytest.fixture(params=["one file system", "two file systems"], autouse=True)
def file_systems(request: pytest.FixtureRequest, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A move between the state directory and the temporary folder is a rename, or has to be a copy."""
    if request.param == "one file system":
        return
    rename = Path.rename

    def within_one(source: Path, target: Path) -> Path:
        if source.is_relative_to(temporary) != Path(target).is_relative_to(temporary):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", within_one)


def write(home: Path, text: str = "rows") -> None:
    """What a server would leave: data, and the socket of one that was killed."""
    (home / "data").mkdir(exist_ok=True)
    (home / "data" / "table").write_text(text)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / ".s"))


def test_what_is_closed_to_the_account_is_moved_out_and_back(folder: Path, account: Account, temporary: Path) -> None:
    # given
    home = move_out(folder, account)
    write(home)
    # then
    assert home.parent == temporary
    assert account.can_execute(home)
    assert (home.stat().st_uid, folder.resolve()) == (account.uid, home)
    # when
    move_back(folder, account)
    # then
    assert not folder.is_symlink()
    assert (folder / "data" / "table").read_text() == "rows"
    assert list(temporary.iterdir()) == []
    assert [path.name for path in folder.parent.iterdir()] == ["postgres"]
    # and when it is started again
    again = move_out(folder, account)
    assert (again / "data" / "table").read_text() == "rows"
    assert (again / "data" / "table").stat().st_uid in (0, account.uid)
    assert account.can_execute(again)


def test_what_the_account_can_reach_stays(temporary: Path, account: Account) -> None:
    folder = temporary / "postgres"
    assert move_out(folder, account) == folder
    assert folder.stat().st_uid == account.uid
    move_back(folder, account)
    assert [path.name for path in temporary.iterdir()] == ["postgres"]


def test_without_an_account_nothing_moves(folder: Path, temporary: Path) -> None:
    assert move_out(folder, None) == folder
    move_back(folder, None)
    assert list(temporary.iterdir()) == []


def test_after_a_crash_the_data_is_found_where_it_was(folder: Path, account: Account, temporary: Path) -> None:
    home = move_out(folder, account)
    write(home)
    assert move_out(folder, account) == home
    assert len(list(temporary.iterdir())) == 1


def test_a_temporary_folder_that_was_cleaned_away_is_made_anew(folder: Path, account: Account) -> None:
    shutil.rmtree(move_out(folder, account))
    move_back(folder, account)
    home = move_out(folder, account)
    assert list(home.iterdir()) == []
    assert folder.resolve() == home


class CutShort(BaseException):
    """The process ended in the middle."""


class Steps:
    """Counts the changes of the file system, and ends the process before a given one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before: int | None = None
        self.done = 0
        for place, change in (
            (Path, "rename"),
            (Path, "unlink"),
            (Path, "symlink_to"),
            (shutil, "copytree"),
            (shutil, "rmtree"),
        ):
            monkeypatch.setattr(place, change, self._counted(getattr(place, change)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            self.done += 1
            if self.done == self.before:
                self.before = None
                if real is shutil.copytree:  # half of it is there
                    (arguments[1] / "data").mkdir(parents=True)
                raise CutShort
            return real(*arguments, **options)

        return change


def test_a_move_that_is_cut_short_anywhere_loses_nothing(
    folder: Path, account: Account, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, cut = Steps(monkeypatch), 0
    write(move_out(folder, account))
    while True:
        # given a process that ends before its so many-th change of the file system
        cut, steps.done = cut + 1, 0
        steps.before = cut
        try:
            move_back(folder, account)
            move_out(folder, account)
        except CutShort:
            pass
        else:
            break
        # when it is started again, or stopped
        home = move_out(folder, account) if cut % 2 else folder
        move_back(folder, account)
        # then
        assert (folder / "data" / "table").read_text() == "rows", f"cut before change {cut}"
        assert [path.name for path in folder.parent.iterdir()] == ["postgres"]
        assert not home.exists() or home == folder
        move_out(folder, account)
    steps.before = None
    assert cut > 8, "there were that many changes to be cut short at"
    assert len([path for path in temporary.iterdir() if any(path.iterdir())]) == 1, "the rest is empty"


def test_an_account_that_can_enter_no_temporary_folder_is_told(folder: Path, account: Account, temporary: Path) -> None:
    temporary.chmod(0o700)
    with pytest.raises(PartFailed, match="set TMPDIR"):
        move_out(folder, account)
