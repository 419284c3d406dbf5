"""`make down` leaves nothing that runs and nothing outside the state directory; `make up` goes on with the data.

The last of these tests: the simulated cluster comes back with its pods not ready yet, and rollouts under way go back.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from infra.local.platform import Platform
from infra.local.ports import is_listening
from tests.e2e.whole import Whole
from tests.integration.infra.test_local_stack import processes_below

pytestmark = pytest.mark.asyncio(loop_scope="session")


def family(platform: Platform) -> set[psutil.Process]:
    """Every process of the platform, with the children of each."""
    heads = [psutil.Process(part["pid"]) for part in platform.status().values() if part["running"]]
    return {process for head in heads for process in (head, *head.children(recursive=True))}


def runs(process: psutil.Process) -> bool:
    """Whether it is there; one that ended is this session's child, which nobody has collected yet."""
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def temporary_folders() -> set[Path]:
    """Those of ours, whoever made them."""
    return set(Path(tempfile.gettempdir()).glob("taxiway-*"))


def taxiway(state: Path, *command: str) -> None:
    """As a person types it."""
    subprocess.run((sys.executable, "-m", "services.cli.main", "--state", str(state), *command), check=True)


async def test_after_down_nothing_runs_and_up_goes_on_with_the_data(whole: Whole) -> None:
    # given
    platform, folders = whole.platform, temporary_folders()
    status, processes = platform.status(), family(platform)
    tenants = await whole.operator.get("/tenants")
    assert len(status) >= 8
    # when
    await asyncio.to_thread(taxiway, platform.state_dir, "down")
    # then
    assert [process for process in processes if runs(process)] == []
    assert processes_below(platform.state_dir) == set()
    assert [name for name, part in status.items() if is_listening(part["port"])] == []
    assert [path for path in platform.state_dir.rglob("*") if path.is_socket()] == []
    assert temporary_folders() <= folders
    assert {part["running"] for part in platform.status().values()} == {False}
    # and when it is started again
    await asyncio.to_thread(platform.up)
    # then
    assert tenants["items"] != []
    assert await whole.operator.get("/tenants") == tenants
