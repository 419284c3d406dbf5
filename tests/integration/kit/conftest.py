"""One probe per test."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.stack import Addresses
from tests.integration.kit.harness import Probe, make_probe


@pytest.fixture
def probe(addresses: Addresses, tmp_path: Path) -> Probe:
    """Fresh topics, a fresh database, and a log file for the probe processes."""
    return make_probe(addresses.kafka_bootstrap, addresses.postgres_dsn, tmp_path / "probe.log")
