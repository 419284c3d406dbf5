"""One process of the front door for all tests that only speak to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from infra.local.stack import Addresses
from schemas.topics import all_topics
from services.kit.messaging.topics import Provisioner
from services.kit.quota.ledger import RedisQuota
from tests.fakes.ingest_api.postgres import IngestDatabase, make_database
from tests.integration.ingest_api.harness import Account, FrontDoor


@pytest.fixture(scope="package")
def ingest_database(addresses: Addresses) -> IngestDatabase:
    """A migrated database, and the topics of the contract."""
    provisioner = Provisioner(addresses.kafka_bootstrap)
    provisioner.apply(provisioner.plan(all_topics()))
    return make_database(addresses.postgres_dsn)


@pytest.fixture(scope="package")
def door(
    addresses: Addresses, ingest_database: IngestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FrontDoor]:
    """A running process. Its quota data set counts as rebuilt."""
    front_door = FrontDoor(addresses, ingest_database, tmp_path_factory.mktemp("ingest"))
    asyncio.run(_mark_intact(front_door.redis_url))
    with front_door.running():
        yield front_door


async def _mark_intact(redis_url: str) -> None:
    quota = RedisQuota(redis_url)
    await quota.mark_intact("test")
    await quota.close()


@pytest.fixture
def acme(door: FrontDoor) -> Account:
    """A tenant with a model in two versions."""
    account = door.tenant()
    account.register_model("1.0", "2.0")
    return account
