"""The stores behind the ports: in memory, and in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import pytest

from infra.local.stack import Addresses
from services.kit.clock import HeldClock
from services.kit.persistence.database import Database
from services.kit.persistence.leases import Lease, acquire
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.adapters.postgres_inputs import PostgresInputLog
from services.scheduler.adapters.postgres_pool import PostgresPoolStore
from services.scheduler.ports import InputLog, PoolStore
from tests.fakes.scheduler.builders import NOW
from tests.fakes.scheduler.postgres import SchedulerDatabase, make_database
from tests.fakes.scheduler.stores import InMemoryDatabase, InMemoryInputLog, InMemoryPoolStore


@dataclass(frozen=True)
class Stores:
    """One implementation of all ports."""

    unit_of_work: Callable[[], AbstractAsyncContextManager[UnitOfWork]]
    inputs: InputLog
    pools: PoolStore
    lease: Callable[[str], Awaitable[Lease]]
    """Takes a lease over from whoever has it."""


@pytest.fixture(scope="module")
def scheduler_database(addresses: Addresses) -> SchedulerDatabase:
    """A migrated database."""
    return make_database(addresses.postgres_dsn)


@pytest.fixture
async def postgres(scheduler_database: SchedulerDatabase) -> AsyncIterator[Database]:
    """The scheduler's database, empty, as its worker role."""
    await scheduler_database.empty()
    database = Database(scheduler_database.worker_dsn, "/taxiway/scheduler", clock=HeldClock(NOW))
    yield database
    await database.close()


@pytest.fixture(params=["in_memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Each implementation in turn."""
    if request.param == "in_memory":
        memory = InMemoryDatabase()
        return Stores(memory.unit_of_work, InMemoryInputLog(memory), InMemoryPoolStore(memory), memory.lease)
    return on_postgres(request.getfixturevalue("postgres"))


def on_postgres(database: Database) -> Stores:
    """The real stores."""

    async def take(name: str) -> Lease:
        holder = await acquire(database, name, "test", ttl=-1)
        assert holder is not None
        return holder

    return Stores(database.unit_of_work, PostgresInputLog(), PostgresPoolStore(), take)
