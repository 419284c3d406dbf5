"""`stack.json`: private, whole at every moment, the same after a round trip."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local.process import ProcessId
from infra.local.record import Record, StackFile


@pytest.fixture
def file(tmp_path: Path) -> StackFile:
    """A file that does not exist yet."""
    return StackFile(tmp_path / "stack.json")


def test_nothing_is_recorded_at_first(file: StackFile) -> None:
    assert not file.exists()
    assert file.read() == {}


def test_what_is_put_is_read(file: StackFile) -> None:
    record = Record((1, 2), "secret", ProcessId(3, "boot/4"))
    file.put("kafka", record)
    file.put("redis", Record((5,), "other"))
    assert file.read() == {"kafka": record, "redis": Record((5,), "other", None)}


def test_only_the_owner_may_read_it(file: StackFile, tmp_path: Path) -> None:
    file.put("redis", Record((5,), "secret"))
    file.put("redis", Record((6,), "secret"))
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600


def test_threads_do_not_lose_each_others_records(file: StackFile) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: file.put(str(number), Record((number,), "")), range(40)))
    assert len(file.read()) == 40
