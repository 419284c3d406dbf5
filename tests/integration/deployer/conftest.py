"""A deployment and a cluster of its own for each test, on the real parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.stack import Addresses
from schemas.topics import all_topics
from services.kit.messaging.topics import Provisioner
from tests.fakes.deployer.postgres import DeployerDatabase, make_database
from tests.integration.deployer.harness import Platform


@pytest.fixture
def deployer_database(addresses: Addresses) -> DeployerDatabase:
    """A migrated database, and the topics of the contract."""
    provisioner = Provisioner(addresses.kafka_bootstrap)
    provisioner.apply(provisioner.plan(all_topics()))
    return make_database(addresses.postgres_dsn)


@pytest.fixture
def platform(addresses: Addresses, deployer_database: DeployerDatabase, tmp_path: Path) -> Iterator[Platform]:
    """A deployment that nobody else knows."""
    platform = Platform(addresses, deployer_database, tmp_path)
    yield platform
    platform.close()
