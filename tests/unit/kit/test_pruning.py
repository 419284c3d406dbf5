"""The pruner deletes in small transactions, survives an outage, and stops when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.kit.errors import TransientError
from services.kit.persistence import pruning
from services.kit.persistence.database import Database
from services.kit.persistence.pruning import INBOX, Pruner, Retention, prune


class InMemoryInbox:
    """So many old claims; each transaction deletes no more than it was asked to."""

    schema = "test"

    def __init__(self, old: int) -> None:
        self.old = old
        self.transactions: list[int] = []
        """Claims deleted by each."""
        self.days: set[int] = set()
        self.failures = 0
        """How many of the next transactions fail."""

    @property
    def database(self) -> Database:
        """As a service's database."""
        return cast(Database, self)

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[Any]:
        """One transaction."""
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise TransientError("away")
        yield SimpleNamespace(connection=self)

    async def execute(self, statement: Any, given: Mapping[str, int]) -> Any:
        """The one statement that there is."""
        assert str(statement).startswith("DELETE FROM inbox ")
        deleted = min(given["rows"], self.old)
        self.old -= deleted
        self.days.add(given["days"])
        self.transactions.append(deleted)
        return SimpleNamespace(rowcount=deleted)


@pytest.mark.parametrize(("old", "transactions"), [(0, [0]), (3, [3]), (10, [10, 0]), (25, [10, 10, 5])])
async def test_it_deletes_all_that_is_old_in_transactions_of_a_bounded_size(
    old: int, transactions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "ROWS", 10)
    inbox = InMemoryInbox(old)
    assert await prune(inbox.database, Retention("inbox", "claimed_at", 7)) == old
    assert inbox.transactions == transactions
    assert inbox.days == {7}


async def run_until(inbox: InMemoryInbox, rounds: int) -> None:
    """The component, until it has pruned so often; it must end at once when told."""
    stopping = asyncio.Event()
    task = asyncio.create_task(Pruner(inbox.database).run(stopping))
    async with asyncio.timeout(5):
        while len(inbox.transactions) < rounds:
            assert not task.done(), task
            await asyncio.sleep(0.001)
        stopping.set()
        await task


async def test_it_prunes_at_once_and_stops_without_waiting_for_the_hour() -> None:
    inbox = InMemoryInbox(3)
    await run_until(inbox, 1)
    assert inbox.transactions == [3]
    assert inbox.days == {INBOX.days}


async def test_it_prunes_again_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "EVERY_SECONDS", 0.01)
    await run_until(InMemoryInbox(0), 3)


async def test_a_database_that_is_away_costs_one_round_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "EVERY_SECONDS", 0.01)
    inbox = InMemoryInbox(3)
    inbox.failures = 2
    await run_until(inbox, 1)
    assert inbox.old == 0


def test_claims_are_kept_for_longer_than_a_dead_letter_may_wait() -> None:
    assert INBOX.days > 30
