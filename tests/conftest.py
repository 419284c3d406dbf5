"""Fixtures of all tests: the real parts, started once a session when a test first asks; and what tests have to tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import cast

import pytest

pytest_plugins = ["infra.local.pytest_plugin"]


@pytest.fixture(scope="session", autouse=True)
def no_terminal() -> Iterator[None]:
    """Whatever terminal the tests are started from, and however many workers share it, what they print to has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests counted: each property `(what, number)` that one recorded, summed under the property's name."""
    told: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            what, number = cast(tuple[str, int], value)
            told[name][what] += number
    for name, counts in told.items():
        terminalreporter.section(name)
        for what, number in counts.items():
            terminalreporter.write_line(f"{number:4d}  {what}")
