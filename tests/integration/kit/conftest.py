"""One probe per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.stack import Addresses
from tests.integration.kit.harness import Probe, make_probe


@pytest.fixture
def probe(addresses: Addresses, tmp_path: Path) -> Iterator[Probe]:
    """Fresh topics, a fresh database, and a log file for the probe processes."""
    yield make_probe(addresses.kafka_bootstrap, addresses.postgres_dsn, tmp_path / "probe.log")
