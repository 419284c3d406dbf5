"""One front door for the commands' tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from infra.local.stack import Addresses
from schemas.topics import all_topics
from services.kit.messaging.topics import Provisioner
from services.kit.quota.ledger import RedisQuota
from tests.fakes.ingest_api.postgres import make_database
from tests.integration.cli.person import Person
from tests.integration.ingest_api.harness import FrontDoor


@pytest.fixture(scope="package")
def door(addresses: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDoor]:
    """A running process with topics, a database and a quota data set that counts as rebuilt."""
    provisioner = Provisioner(addresses.kafka_bootstrap)
    provisioner.apply(provisioner.plan(all_topics()))
    front_door = FrontDoor(addresses, make_database(addresses.postgres_dsn), tmp_path_factory.mktemp("door"))
    asyncio.run(_mark_intact(front_door.redis_url))
    with front_door.running():
        yield front_door


async def _mark_intact(redis_url: str) -> None:
    quota = RedisQuota(redis_url)
    await quota.mark_intact("test")
    await quota.close()


@pytest.fixture
def operator(door: FrontDoor) -> Person:
    """Who runs the platform."""
    return Person(door, door.issuer.token("root", "operator"))
