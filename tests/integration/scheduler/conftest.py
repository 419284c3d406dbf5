"""A pool of its own for each test, on the real parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.stack import Addresses
from schemas.topics import all_topics
from services.kit.ids import new_id
from services.kit.messaging.topics import Provisioner
from tests.fakes.scheduler.postgres import SchedulerDatabase, make_database
from tests.integration.scheduler.harness import Listening, Platform


@pytest.fixture(scope="module")
def scheduler_database(addresses: Addresses) -> SchedulerDatabase:
    """A migrated database, and the topics of the contract."""
    provisioner = Provisioner(addresses.kafka_bootstrap)
    provisioner.apply(provisioner.plan(all_topics()))
    return make_database(addresses.postgres_dsn)


@pytest.fixture
def platform(addresses: Addresses, scheduler_database: SchedulerDatabase, tmp_path: Path) -> Iterator[Platform]:
    """A pool that nobody else uses."""
    listening = Listening(addresses.kafka_bootstrap)
    yield Platform(addresses, scheduler_database, f"pool-{new_id().hex}", tmp_path / "scheduler.log", listening)
    listening.close()
