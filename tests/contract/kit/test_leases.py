"""A lease has one holder under one epoch, whichever table it stands in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infra.local.stack import Addresses
from services.kit.errors import LeaseLostError
from services.kit.persistence.database import Database
from services.kit.persistence.leases import FENCE, Lease, acquire, release, renew
from tests.fakes.kit.leases import InMemoryLeases
from tests.fakes.scheduler.postgres import make_database


@pytest.fixture(scope="module")
def worker_dsn(addresses: Addresses) -> str:
    """A database of ours that has a lease table."""
    return make_database(addresses.postgres_dsn).worker_dsn


@pytest.fixture
async def postgres(worker_dsn: str) -> AsyncIterator[Database]:
    """The real table."""
    real = Database(worker_dsn, "/test/leases")
    yield real
    await real.close()


@pytest.fixture(params=["in_memory", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each implementation in turn."""
    if request.param == "in_memory":
        return InMemoryLeases().database
    real: Database = request.getfixturevalue("postgres")
    return real


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A lease of this test alone."""
    return str(request.node.name)


async def is_fenced_in(database: Database, lease: Lease) -> bool:
    """Whether a write under `lease` would go through."""
    async with database.unit_of_work() as work:
        found = await work.connection.execute(FENCE, {"name": lease.name, "epoch": lease.epoch})
        return found.first() is not None


async def test_what_is_held_is_nobody_elses(database: Database, name: str) -> None:
    held = await acquire(database, name, "a")
    assert held == Lease(name, "a", 1)
    assert await acquire(database, name, "b") is None
    assert await acquire(database, name, "a") is None, "not even its holder's a second time"
    assert await acquire(database, f"{name}-other", "b") is not None


async def test_what_was_given_back_is_free_under_a_new_epoch(database: Database, name: str) -> None:
    first = await acquire(database, name, "a")
    assert first is not None
    await release(database, first)
    assert await acquire(database, name, "b") == Lease(name, "b", first.epoch + 1)


async def test_what_ran_out_can_be_taken_and_is_lost_to_its_old_holder(database: Database, name: str) -> None:
    old = await acquire(database, name, "old", ttl=-1)
    assert old is not None
    assert await is_fenced_in(database, old), "nobody has taken it yet"
    new = await acquire(database, name, "new")
    assert new is not None
    assert not await is_fenced_in(database, old)
    assert await is_fenced_in(database, new)
    with pytest.raises(LeaseLostError):
        await renew(database, old)
    await release(database, old)
    assert await acquire(database, name, "third") is None, "the old holder cannot give back what is another's"


async def test_a_renewed_lease_is_held_on(database: Database, name: str) -> None:
    held = await acquire(database, name, "a", ttl=-1)
    assert held is not None
    await renew(database, held, ttl=60)
    assert await acquire(database, name, "b") is None


async def test_a_namesake_of_the_holder_in_an_old_epoch_cannot_renew(database: Database, name: str) -> None:
    old = await acquire(database, name, "same", ttl=-1)
    assert old is not None
    assert await acquire(database, name, "same") is not None
    with pytest.raises(LeaseLostError):
        await renew(database, old)
