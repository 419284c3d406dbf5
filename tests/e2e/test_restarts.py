"""A rolling restart of each service under load: nothing lost, nothing double, no partition moved."""

from __future__ import annotations

import asyncio

import pytest

from infra.local.workers import SERVICES, WorkerId
from tests.e2e.whole import Whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

WARM_SECONDS = 1.5
"""Load before and after the restart, so that there is work in flight."""


@pytest.mark.parametrize("service", SERVICES)
async def test_a_restart_under_load_loses_nothing_doubles_nothing_and_moves_no_partition(
    whole: Whole, service: str
) -> None:
    """SIGTERM, then the same copy again, within the session timeout."""
    worker = WorkerId(service)
    groups = await whole.groups()
    copies = (await whole.settle()).copies
    async with whole.load.flowing():
        await asyncio.sleep(WARM_SECONDS)
        pid = whole.pid(worker)

        await asyncio.to_thread(whole.platform.stop, worker)
        await asyncio.to_thread(whole.platform.start, worker)

        assert whole.pid(worker) != pid
        await asyncio.sleep(WARM_SECONDS)
    log = await whole.settle()
    assert await whole.groups() == groups
    assert log.copies == copies, "an orderly end leaves no doubt whether something was sent"
