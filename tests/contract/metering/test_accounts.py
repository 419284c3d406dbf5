"""What every ledger does, in memory and in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from schemas.quota import QuotaExceeded
from schemas.tenant import Limit, Meter, Window
from schemas.usage import UsageSample
from services.kit.messaging.origin import Origin
from services.kit.persistence.database import Database
from services.metering.adapters.accounts import PostgresAccounts
from services.metering.adapters.books import PostgresBooks
from services.metering.adapters.tenants import PostgresTenantBook
from services.metering.domain.model import LimitedUse, Plan, Report, Total, TotalKey
from services.metering.ports import Accounts, Books
from tests.fakes.metering.ledger import InMemoryAccounts
from tests.fakes.metering.records import NOON, sample

DAY = NOON.date()
EXCEEDED = "exceeded"


@dataclass(frozen=True)
class Ledger:
    """A ledger and a tenant of its own."""

    accounts: Accounts
    books: Books
    set_limits: Callable[..., Awaitable[None]]
    tenant_id: UUID

    def report(self, *samples: UsageSample, partition: int = 0, offset: int = 0, source: str = "s") -> Report:
        return Report(self.tenant_id, source, samples, partition, offset, "event")

    def key(self, meter: str = "api_calls", *, partition: int = 0, window: Window = Window.DAY) -> TotalKey:
        return TotalKey(self.tenant_id, meter, window, DAY if window is Window.DAY else DAY.replace(day=1), partition)

    async def accept(self, report: Report) -> frozenset[str]:
        async with self.accounts.open() as account:
            return await account.accept(report)

    async def write(self, **totals: Total) -> None:
        async with self.accounts.open() as account:
            await account.write({self.key(meter): total for meter, total in totals.items()})

    async def stands(self) -> dict[TotalKey, Total]:
        return {key: total for key, total in await self.books.all_totals() if key.tenant_id == self.tenant_id}


@pytest.fixture(params=["memory", "postgres"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    tenant_id = uuid4()
    if request.param == "memory":
        memory = InMemoryAccounts()

        async def limit_in_memory(*limits: Limit) -> None:
            await memory.set_limits(tenant_id, *limits)

        yield Ledger(memory, memory, limit_in_memory, tenant_id)
        return
    database = Database(request.getfixturevalue("metering_dsn"), "/taxiway/metering")

    async def limit(*limits: Limit) -> None:
        async with database.unit_of_work() as work:
            await PostgresTenantBook().set_plan(work, Plan(tenant_id, limits))

    yield Ledger(PostgresAccounts(database), PostgresBooks(database), limit, tenant_id)
    await database.close()


async def test_samples_are_accepted_once_and_again_for_their_own_record(ledger: Ledger) -> None:
    first = ledger.report(sample(1), sample(2), offset=5)
    again = ledger.report(sample(2), sample(3), offset=6)
    assert await ledger.accept(first) == {"sample-1", "sample-2"}
    assert await ledger.accept(again) == {"sample-3"}
    assert await ledger.accept(first) == {"sample-1", "sample-2"}
    assert await ledger.accept(again) == {"sample-3"}


async def test_another_partition_source_or_tenant_is_not_the_same_record(ledger: Ledger) -> None:
    await ledger.accept(ledger.report(sample(1), offset=5))
    assert await ledger.accept(ledger.report(sample(1), offset=5, partition=1)) == frozenset()
    assert await ledger.accept(ledger.report(sample(1), offset=9, source="other")) == {"sample-1"}
    other = replace(ledger.report(sample(1), offset=10), tenant_id=uuid4())
    assert await ledger.accept(other) == {"sample-1"}


async def test_a_transaction_that_fails_leaves_nothing(ledger: Ledger) -> None:
    async def fail() -> None:
        async with ledger.accounts.open() as account:
            await account.accept(ledger.report(sample(1), offset=1))
            await account.write({ledger.key(): Total(1, 1)})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await ledger.stands() == {}
    assert await ledger.accept(ledger.report(sample(1), offset=2)) == {"sample-1"}


async def test_totals_only_move_forward(ledger: Ledger) -> None:
    await ledger.write(api_calls=Total(10, 5), input_tokens=Total(2**60, 5))
    await ledger.write(api_calls=Total(7, 4), input_tokens=Total(2**70, 6))
    await ledger.write(api_calls=Total(99, 5))
    assert await ledger.stands() == {
        ledger.key("api_calls"): Total(10, 5),
        ledger.key("input_tokens"): Total(2**70, 6),
    }


async def test_totals_are_found_by_their_whole_key(ledger: Ledger) -> None:
    await ledger.write(api_calls=Total(10, 5))
    wanted = {ledger.key(), ledger.key(partition=1), ledger.key(window=Window.MONTH), ledger.key("input_tokens")}
    async with ledger.accounts.open() as account:
        assert await account.totals(wanted) == {ledger.key(): Total(10, 5)}
        assert await account.totals([]) == {}


async def test_limits_come_with_what_is_settled_over_all_partitions(ledger: Ledger) -> None:
    limit = Limit(meter=Meter.API_CALLS, window=Window.DAY, amount=2**53)
    await ledger.set_limits(limit, Limit(meter=Meter.OUTPUT_TOKENS, window=Window.DAY, amount=1))
    async with ledger.accounts.open() as account:
        await account.write({ledger.key(partition=1): Total(4, 1), ledger.key(window=Window.MONTH): Total(9, 1)})
    async with ledger.accounts.open() as account:
        touched = {ledger.key(): Total(3, 7), ledger.key(window=Window.MONTH): Total(9, 7)}
        await account.write(touched)
        assert await account.limited(touched) == [LimitedUse(limit, DAY, 7)]
        assert await account.limited([ledger.key("input_tokens")]) == []


async def test_a_new_plan_replaces_the_old_one(ledger: Ledger) -> None:
    await ledger.set_limits(Limit(meter=Meter.API_CALLS, window=Window.DAY, amount=5))
    await ledger.set_limits(Limit(meter=Meter.API_CALLS, window=Window.MONTH, amount=6))
    async with ledger.accounts.open() as account:
        keys = {ledger.key(): Total(1, 1), ledger.key(window=Window.MONTH): Total(1, 1)}
        await account.write(keys)
        (use,) = await account.limited(keys)
    assert (use.limit.window, use.limit.amount) == (Window.MONTH, 6)


async def test_each_thing_is_said_once_per_limit_and_window(ledger: Ledger) -> None:
    async def announce(meter: Meter, day: datetime, name: str = EXCEEDED) -> bool:
        event = QuotaExceeded(
            tenant_id=ledger.tenant_id, meter=meter, window=Window.DAY, window_start=day, limit=1, settled=2
        )
        async with ledger.accounts.open() as account:
            return await account.announce(name, event, Origin(ledger.tenant_id, "service:metering"))

    day = datetime(2026, 3, 14, tzinfo=UTC)
    assert await announce(Meter.API_CALLS, day)
    assert not await announce(Meter.API_CALLS, day)
    assert await announce(Meter.API_CALLS, day, "threshold-75")
    assert await announce(Meter.OUTPUT_TOKENS, day)
    assert await announce(Meter.API_CALLS, day + timedelta(days=1))


async def test_raw_samples_and_totals_that_agree_do_not_drift(ledger: Ledger) -> None:
    before = await ledger.books.drift(DAY)
    late = sample(2, tokens=30, at=datetime(2026, 3, 14, 23, 59, 59, tzinfo=UTC))
    await ledger.accept(ledger.report(sample(1, tokens=12), late, offset=1))
    missing = await ledger.books.drift(DAY)
    assert {meter: missing[meter] - before[meter] for meter in ("api_calls", "input_tokens", "output_tokens")} == {
        "api_calls": 2,
        "input_tokens": 42,
        "output_tokens": 0,
    }
    async with ledger.accounts.open() as account:
        await account.write(
            {
                ledger.key("api_calls"): Total(2, 1),
                ledger.key("input_tokens"): Total(40, 1),
                ledger.key("input_tokens", partition=1): Total(2, 1),
                ledger.key("duplicates"): Total(7, 1),
                ledger.key("api_calls", window=Window.MONTH): Total(99, 1),
            }
        )
    assert await ledger.books.drift(DAY) == before
    assert set((await ledger.books.drift(DAY + timedelta(days=1))).values()) == {0}
