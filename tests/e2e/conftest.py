"""One platform for all end-to-end tests: started when the first asks, gone when the session ends, whatever happened."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from infra.local.platform import Platform
from infra.local.pytest_plugin import start_or_skip
from infra.local.stack import Addresses
from services.kit.messaging.lag import LagProbe
from tests.e2e.client import Client
from tests.e2e.load import Load
from tests.e2e.tenant import make_tenant
from tests.e2e.whole import Whole

PREFIX = "taxiway-e2e-"
NODES, GPUS = 8, 8
PATIENT = {"TAXIWAY_SESSION_TIMEOUT_SECONDS": "20"}
"""A restart takes ten seconds on a machine that does other things too, and must lie within the session."""
LOG_LINES = 20
"""Of each process, shown with a failure."""


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """All parts and services in a folder of their own. Parts that are given are not used: these tests stop them."""
    sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    with pytest.MonkeyPatch.context() as patch:
        for variable in Addresses("", "", "").environment():
            patch.delenv(variable, raising=False)
        whole = Platform(folder, nodes=write_nodes(folder / "nodes.csv"), environment=PATIENT)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        start_or_skip(whole.stack)
        whole.up()
        yield whole
    finally:
        (folder / "nodes.csv").unlink()
        whole.destroy()
        signal.signal(signal.SIGTERM, before)
    assert not folder.exists(), f"destroy left {[str(path) for path in folder.rglob('*')]}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def whole(platform: Platform) -> AsyncIterator[Whole]:
    """The platform with a tenant whose load it carries."""
    described = platform.description()
    operator = Client(described["api_url"], described["operator_token"])
    tenant = await make_tenant(described, operator, "e2e")
    try:
        yield Whole(platform, operator, Load(tenant), LagProbe(described["kafka_bootstrap"]))
    finally:
        await tenant.client.close()
        await operator.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure, show the last warnings and errors of each process: the logs are gone with the platform."""
    report = yield
    whole = getattr(item, "funcargs", {}).get("whole")
    if report.when == "call" and report.failed and isinstance(whole, Whole):
        for log in sorted((whole.platform.state_dir / "logs").glob("*.log")):
            lines = [line for line in log.read_text(errors="replace").splitlines() if '"INFO"' not in line]
            report.sections.append((log.stem, "\n".join(lines[-LOG_LINES:])))
    return report


def write_nodes(file: Path) -> Path:
    """A small pool: equal nodes of one model."""
    rows = [f"node-{number},96000,1048576,{GPUS},A100" for number in range(NODES)]
    file.write_text("\n".join(("sn,cpu_milli,memory_mib,gpu,model", *rows, "")))
    return file


def sweep(folder: Path) -> None:
    """Destroy the platforms of test sessions that were killed before they could."""
    for left in folder.glob(f"{PREFIX}*-*"):
        with contextlib.suppress(OSError, ValueError):
            owner = int(left.name.removeprefix(PREFIX).partition("-")[0])
            if left.stat().st_uid == os.geteuid() and not psutil.pid_exists(owner):
                (left / "nodes.csv").unlink(missing_ok=True)
                Platform(left).destroy()
