"""A database with metering's tables, once for the folder; tests have tenants of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.local.stack import Addresses
from services.kit.persistence.database import Database
from tests.integration.metering.harness import make_database


@pytest.fixture(scope="module")
def metering_dsn(addresses: Addresses) -> str:
    """The worker role's DSN of a fresh database. Made in a thread: a test's event loop may run already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make_database, addresses).result()


@pytest.fixture
async def database(metering_dsn: str) -> AsyncIterator[Database]:
    """Metering's database, as the worker."""
    database = Database(metering_dsn, "/taxiway/metering")
    yield database
    await database.close()
