"""One database for all tests of the folder; each test has tenants of its own."""

from __future__ import annotations

import pytest

from infra.local.stack import Addresses
from tests.integration.metering.harness import Metering, make_metering


@pytest.fixture(scope="module")
def metering(addresses: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Metering:
    """Fresh database, topics of the contract, no process yet."""
    return make_metering(addresses, tmp_path_factory.mktemp("metering"))
