"""A lease has one holder; a dead one is replaced within ten seconds, and what the old one still writes fails."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import text

from services.kit.errors import LeaseLostError
from services.kit.persistence.database import Database
from services.kit.persistence.lease_loop import LeaseLoop
from services.kit.persistence.leases import Lease, acquire, release, renew
from tests.integration.kit.harness import Probe


async def test_only_one_of_many_gets_it(probe: Probe) -> None:
    database = Database(probe.dsn, "/test/leases", pool_size=10)
    leases = await asyncio.gather(*(acquire(database, "work", f"holder-{number}") for number in range(10)))
    assert len([lease for lease in leases if lease]) == 1
    await database.close()


async def test_given_back_is_free_at_once_under_a_new_epoch(probe: Probe) -> None:
    database = Database(probe.dsn, "/test/leases")
    first = await acquire(database, "work", "a")
    assert first is not None
    assert await acquire(database, "work", "b") is None
    await release(database, first)
    assert await acquire(database, "work", "b") == Lease("work", "b", first.epoch + 1)
    await database.close()


async def test_write_of_an_old_holder_fails_and_leaves_nothing(probe: Probe) -> None:
    database = Database(probe.dsn, "/test/leases")
    old = await acquire(database, "work", "old", ttl=0)
    assert old is not None
    assert await acquire(database, "work", "new") is not None

    async def write() -> None:
        async with database.unit_of_work() as work:
            await work.connection.execute(text("INSERT INTO effect VALUES ('stale', 1)"))
            await work.fence(old)

    with pytest.raises(LeaseLostError):
        await write()
    with pytest.raises(LeaseLostError):
        await renew(database, old)
    async with database.unit_of_work() as work:
        assert (await work.connection.execute(text("SELECT count(*) FROM effect"))).scalar() == 0
    await database.close()


async def test_fenced_transaction_holds_a_take_over_off_until_it_commits(probe: Probe) -> None:
    database = Database(probe.dsn, "/test/leases")
    old = await acquire(database, "work", "old", ttl=0)
    assert old is not None
    async with database.unit_of_work() as work:
        await work.fence(old)
        taking = asyncio.create_task(acquire(database, "work", "new"))
        done, _ = await asyncio.wait({taking}, timeout=0.3)
        assert not done
        await work.connection.execute(text("INSERT INTO effect VALUES ('in-time', 1)"))
    assert await taking == Lease("work", "new", old.epoch + 1)
    await database.close()


@pytest.mark.parametrize("end", ["taken", "given back"])
async def test_whoever_no_longer_holds_it_is_told(probe: Probe, end: str) -> None:
    """What a holder showed to others, such as a gauge, it must take down: another shows it now."""
    database = Database(probe.dsn, "/test/leases")
    held: asyncio.Queue[Lease] = asyncio.Queue()
    told, stopping = asyncio.Event(), asyncio.Event()
    loop = LeaseLoop(database, "work", "old", held.put, interval=0.05, on_release=told.set)
    running = asyncio.create_task(loop.run(stopping))
    async with asyncio.timeout(10):
        lease = await held.get()
        assert not told.is_set()
        if end == "taken":
            await renew(database, lease, ttl=-1)
            assert await acquire(database, "work", "new") is not None
        else:
            stopping.set()
        await told.wait()
        stopping.set()
        await running
    await database.close()


async def test_dead_holder_is_replaced_within_ten_seconds(probe: Probe) -> None:
    database = Database(probe.dsn, "/test/leases")
    assert await acquire(database, "work", "dead") is not None
    died = time.monotonic()
    ticked, stopping = asyncio.Event(), asyncio.Event()

    async def tick(_: Lease) -> None:
        ticked.set()

    running = asyncio.create_task(LeaseLoop(database, "work", "standby", tick).run(stopping))
    async with asyncio.timeout(10):
        await ticked.wait()
    assert time.monotonic() - died < 10
    stopping.set()
    await running
    await database.close()
