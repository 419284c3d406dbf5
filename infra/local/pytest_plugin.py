"""Session fixtures for tests on the real parts: started when a test first asks, gone when the session ends."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.errors import PartMissing
from infra.local.stack import Addresses, LocalStack


@pytest.fixture(scope="session")
def local_stack() -> Iterator[LocalStack]:
    """Kafka, Postgres and Redis in a folder of their own. A part that cannot be had skips the test, but fails in CI."""
    folder = Path(tempfile.mkdtemp(prefix="taxiway-test-"))
    stack = LocalStack(folder)
    try:
        try:
            stack.up()
        except PartMissing as missing:
            if os.environ.get("CI"):
                pytest.fail(str(missing))
            pytest.skip(str(missing))
        yield stack
    finally:
        stack.destroy()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def addresses(local_stack: LocalStack) -> Addresses:
    """Where the parts are."""
    return local_stack.addresses()
