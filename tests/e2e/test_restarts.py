"""A rolling restart of each service under load, and an owner that freezes: nothing lost, nothing double."""

from __future__ import annotations

import asyncio
import signal

import pytest

from infra.local.workers import SERVICES, WorkerId
from tests.e2e.whole import Whole, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

WARM_SECONDS = 1.5
"""Load before and after the restart, so that there is work in flight."""
TAKE_OVER_SECONDS = 10.0
POOL = "pool:default"
QUEUE = "taxiway_scheduler_queue_length"
OWNER, STANDBY = WorkerId("scheduler"), WorkerId("scheduler", "1")


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


async def test_a_frozen_owner_is_replaced_and_can_write_no_more(whole: Whole) -> None:
    """SIGSTOP under load: to the others it is dead, though it comes back in the middle of what it did, and goes on."""
    await asyncio.to_thread(whole.platform.start, STANDBY)
    assert whole.metric(OWNER, "taxiway_lease_held", lease=POOL) == 1

    async def is_taken_over() -> bool:
        return whole.metric(STANDBY, "taxiway_lease_held", lease=POOL) == 1

    async def knows_that_it_lost() -> bool:
        return whole.metric(OWNER, "taxiway_lease_lost_total", lease=POOL) == 1

    try:
        async with whole.load.flowing():
            await asyncio.sleep(WARM_SECONDS)
            whole.signal(OWNER, signal.SIGSTOP)
            try:
                await eventually("take-over", is_taken_over, TAKE_OVER_SECONDS)
                await asyncio.sleep(WARM_SECONDS)
            finally:
                whole.signal(OWNER, signal.SIGCONT)
            await eventually("refused write of the old owner", knows_that_it_lost)
        assert [whole.shows(worker, QUEUE) for worker in (OWNER, STANDBY)] == [False, True], "or a sum counts it twice"
        await whole.settle()
    finally:
        await asyncio.to_thread(whole.platform.stop, STANDBY)
    await whole.settle()
