"""Both implementations of the front door's stores, and two tenants in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from infra.local.stack import Addresses
from services.ingest_api.adapters.postgres_platform import opener
from services.ingest_api.ports import Transactions
from services.kit.persistence.database import Database
from tests.fakes.ingest_api.builders import model, tenant, version
from tests.fakes.ingest_api.postgres import IngestDatabase, make_database
from tests.fakes.ingest_api.stores import InMemoryDoor


@pytest.fixture(scope="package")
def ingest_database(addresses: Addresses) -> IngestDatabase:
    """A migrated database."""
    return make_database(addresses.postgres_dsn)


@pytest.fixture
async def postgres(ingest_database: IngestDatabase) -> AsyncIterator[Transactions]:
    """As the app role, and as the worker role."""
    dsns = ingest_database.app_dsn, ingest_database.worker_dsn
    app, worker = (Database(dsn, "/taxiway/ingest_api", pool_size=2) for dsn in dsns)
    yield Transactions(tenant=opener(app), platform=opener(worker))
    await app.close()
    await worker.close()


@pytest.fixture(params=["in memory", "postgres"])
def door(request: pytest.FixtureRequest) -> Transactions:
    """Each implementation in turn."""
    if request.param == "in memory":
        return InMemoryDoor().transactions
    transactions: Transactions = request.getfixturevalue("postgres")
    return transactions


@pytest.fixture
async def ours(door: Transactions) -> UUID:
    """A tenant with model `llama` in version 1.0."""
    return await make_tenant(door)


@pytest.fixture
async def theirs(door: Transactions) -> UUID:
    """Another one with the same."""
    return await make_tenant(door)


async def make_tenant(door: Transactions) -> UUID:
    """A tenant with model `llama` in version 1.0."""
    tenant_id = uuid4()
    async with door.platform(tenant_id) as stores:
        assert await stores.tenants.add(tenant(tenant_id=tenant_id, name=f"t-{tenant_id.hex[:12]}"))
        assert await stores.models.add(model())
        assert await stores.models.add_version(version())
    return tenant_id
