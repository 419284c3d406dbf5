"""`make clean` stops what runs before it removes the folder under its feet."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.credentials import Credentials
from infra.local.errors import PartMissing
from infra.local.stack import LocalStack
from tests.integration.infra.test_local_stack import processes_below

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with its own state; the code and the tools are ours."""
    for variable in ("TAXIWAY_KAFKA_BOOTSTRAP", "TAXIWAY_POSTGRES_ADMIN_DSN", "TAXIWAY_REDIS_URL", "TAXIWAY_STATE"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    yield tmp_path
    for stack in tmp_path.glob("**/stack"):
        LocalStack(stack).destroy()


def make_clean(folder: Path) -> None:
    """As a person types it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(("make", "clean"), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def start_a_part(state: Path) -> None:
    """A platform that was interrupted while it started: its credentials, and the quickest of its parts."""
    Credentials(state / "credentials").ensure()
    try:
        LocalStack(state / "stack").up(("redis",))
    except PartMissing as missing:
        pytest.skip(str(missing))


def test_neither_process_nor_data_is_left_of_platform_and_demo(checkout: Path) -> None:
    # given
    start_a_part(checkout / ".state" / "demo")
    start_a_part(checkout / ".state")
    (checkout / ".mypy_cache").mkdir()
    assert len(processes_below(checkout / ".state")) == 2
    # when
    make_clean(checkout)
    # then
    assert processes_below(checkout) == set()
    assert {entry.name for entry in checkout.iterdir()} == {"Makefile", ".venv"}


def test_where_nothing_was_started_there_is_nothing_to_stop(checkout: Path) -> None:
    make_clean(checkout)
    (checkout / ".venv").unlink()
    make_clean(checkout)
