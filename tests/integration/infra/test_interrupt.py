"""Ctrl-C, or a cancelled job, while the parts start: the fixture still leaves no process and no folder."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.infra.test_local_stack import processes_below

_TEST = "def test_it(local_stack):\n    raise AssertionError('it was not interrupted')\n"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The temporary folder of the interrupted session, open to PostgreSQL's account."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def start_session(folder: Path, temporary: Path) -> subprocess.Popen[str]:
    """A pytest session of one test that asks for the stack."""
    (folder / "test_it.py").write_text(_TEST)
    plugins = ("-p", "infra.local.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:asyncio")
    command = (sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", *plugins, "test_it.py")
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=_heed_interrupts
    )


def _heed_interrupts() -> None:
    """A shell has its background jobs ignore SIGINT, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(("started", "how"), [("logs/postgres.log", signal.SIGINT), ("kafka/data", signal.SIGTERM)])
def test_an_interrupted_session_leaves_nothing(
    tmp_path: Path, temporary: Path, started: str, how: signal.Signals
) -> None:
    session = start_session(tmp_path, temporary)
    while session.poll() is None and not any(temporary.glob(f"taxiway-test-*/{started}")):
        time.sleep(0.02)
    session.send_signal(how)
    output, _ = session.communicate(timeout=60)
    assert "KeyboardInterrupt" in output
    assert list(temporary.iterdir()) == []
    assert processes_below(temporary) == set()
