"""One probe per test; and what the crash tests counted, at the end of the run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from infra.local.stack import Addresses
from tests.integration.kit.harness import Probe, make_probe

COPIES: pytest.StashKey[Counter[str]] = pytest.StashKey()
"""Copies on the wire after a kill. Consumers drop them; more than a few would be a defect."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show how many records the killed processes sent again, by where they were killed."""
    if COPIES in config.stash:
        terminalreporter.section("copies on the wire, by where the process was killed")
        for place, copies in config.stash[COPIES].items():
            terminalreporter.write_line(f"{copies:4d}  {place}")


@pytest.fixture
def probe(addresses: Addresses, tmp_path: Path) -> Probe:
    """Fresh topics, a fresh database, and a log file for the probe processes."""
    return make_probe(addresses.kafka_bootstrap, addresses.postgres_dsn, tmp_path / "probe.log")
