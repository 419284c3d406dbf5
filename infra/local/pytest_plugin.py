"""Session fixtures for tests on the real parts: started when a test first asks, gone when the session ends."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from infra.local.errors import PartMissing
from infra.local.stack import Addresses, LocalStack

_PREFIX = "taxiway-test-"


@pytest.fixture(scope="session")
def local_stack() -> Iterator[LocalStack]:
    """Kafka, Postgres and Redis in a folder of their own. A part that cannot be had skips the test, but fails in CI."""
    sweep(Path(tempfile.gettempdir()))
    stack = LocalStack(Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")))
    # A cancelled job gets SIGTERM, at which Python would leave without a word to its fixtures.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        start_or_skip(stack)
        yield stack
    finally:
        stack.destroy()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def addresses(local_stack: LocalStack) -> Addresses:
    """Where the parts are."""
    return local_stack.addresses()


def start_or_skip(stack: LocalStack) -> None:
    """Start all parts; where one is missing, skip with the line that says what to install, or in CI fail with it."""
    try:
        stack.up()
    except PartMissing as missing:
        _give_up(str(missing))


def sweep(folder: Path) -> None:
    """Destroy the stacks of test sessions that were killed before they could: nobody else would ever stop them."""
    for left in folder.glob(f"{_PREFIX}*-*"):
        with contextlib.suppress(OSError, ValueError):  # another session sweeps too, or the name is not ours
            owner = int(left.name.removeprefix(_PREFIX).partition("-")[0])
            if left.stat().st_uid == os.geteuid() and not psutil.pid_exists(owner):
                LocalStack(left).destroy()


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
