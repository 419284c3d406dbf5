"""The way of one record over in-memory adapters; above all, what is left after a crash at any point of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.quota import QuotaExceeded, QuotaThresholdReached
from schemas.tenant import Limit, Meter, Window
from schemas.usage import UsageSample, hold_name
from services.kit.clock import HeldClock
from services.kit.errors import TransientError
from services.kit.messaging.dead_letters import TripWire, TripWireError
from services.kit.messaging.record import Record
from services.kit.quota.model import Ask, Scope, Usage, day_scope
from services.kit.resilience import Backoff
from services.metering.entrypoints.counting import UsageCounter
from services.metering.entrypoints.intake import Intake
from tests.fakes.metering.ledger import (
    InMemoryAccounts,
    InMemoryDeadLetters,
    InMemoryProducers,
    InMemoryTotals,
)
from tests.fakes.metering.records import NOON, Signer, gateway, record, sample, signed
from tests.fakes.quota.ledger import InMemoryQuota

TENANT = uuid4()
PLATFORM = gateway()
OWN = Signer(TENANT)
STEPS = ("before accept", "before write", "before commit", "after commit", "before put", "before settle")


class Crash(BaseException):
    """The process ends here."""


class SettlingQuota(InMemoryQuota):
    """Tells when it is about to settle."""

    bench: Bench

    async def settle_all(self, settlements: Sequence[object]) -> list[bool]:
        self.bench.reached("before settle")
        return await super().settle_all(settlements)  # type: ignore[arg-type]


@dataclass
class Bench:
    """One worker after another on the same ledger, changelog and quota."""

    accounts: InMemoryAccounts = field(default_factory=InMemoryAccounts)
    totals: InMemoryTotals = field(default_factory=InMemoryTotals)
    dead_letters: InMemoryDeadLetters = field(default_factory=InMemoryDeadLetters)
    clock: HeldClock = field(default_factory=lambda: HeldClock(NOON))
    break_at: tuple[str, BaseException] | None = None

    def __post_init__(self) -> None:
        self.accounts.reached = self.reached
        self.totals._reached = self.reached
        self.quota = SettlingQuota(self.clock)
        self.quota.bench = self
        self.counter = self.new_worker()

    def reached(self, step: str) -> None:
        if self.break_at is not None and self.break_at[0] == step:
            error, self.break_at = self.break_at[1], None
            raise error

    def new_worker(self) -> UsageCounter:
        intake = Intake(InMemoryProducers(PLATFORM.producer, OWN.producer), self.clock, patience_seconds=0)
        self.counter = UsageCounter(
            intake,
            self.accounts,
            self.totals,
            self.quota,
            self.dead_letters,
            self.clock,
            backoff=Backoff(uniform=lambda *_: 0),
        )
        return self.counter

    async def used(self, meter: str, window: Window = Window.DAY) -> int:
        start = NOON.date() if window is Window.DAY else NOON.date().replace(day=1)
        in_redis = (await self.quota.usage(Scope(str(TENANT), meter, window.value, start))).settled
        in_ledger = sum(
            total.total
            for key, total in self.accounts.rows.totals.items()
            if (key.meter, key.window, key.window_start) == (meter, window, start)
        )
        assert in_redis == in_ledger
        return in_ledger


def from_gateway(samples: Sequence[UsageSample], offset: int = 0, partition: int = 0) -> Record:
    return signed(PLATFORM, TENANT, samples, offset=offset, partition=partition)


async def test_counts_into_ledger_table_and_quota() -> None:
    bench = Bench()
    await bench.counter.count(from_gateway([sample(1, tokens=5), sample(2, tokens=6)]))
    await bench.counter.count(from_gateway([sample(2, tokens=6), sample(3, tokens=7)], offset=1))
    for window in Window:
        assert await bench.used("input_tokens", window) == 18
        assert await bench.used("api_calls", window) == 3
        assert await bench.used("duplicates", window) == 1
    assert dict(bench.totals.writes) == bench.accounts.rows.totals
    assert await bench.accounts.drift(NOON.date()) == {meter.value: 0 for meter in Meter}


async def test_the_same_id_of_another_signer_is_another_sample() -> None:
    bench = Bench()
    await bench.counter.count(signed(OWN, TENANT, [sample(1)]))
    await bench.counter.count(signed(PLATFORM, TENANT, [sample(1)], offset=1))
    assert await bench.used("api_calls") == 2
    assert await bench.used("duplicates") == 0


@given(
    batches=st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=6, unique=True), min_size=1, max_size=8),
    crashes=st.lists(st.tuples(st.integers(0, 7), st.sampled_from(STEPS), st.integers(0, 9), st.integers(0, 3))),
    partitions=st.lists(st.integers(0, 1), min_size=8, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_exact_whatever_crashes_where(
    batches: list[list[int]], crashes: list[tuple[int, str, int, int]], partitions: list[int]
) -> None:
    """given records with client duplicates on two partitions; when workers crash at any step, with changelog writes
    lost and records read again from before; then each sample counts once, and ledger, quota and raw samples agree."""

    async def run() -> None:
        bench = Bench()
        records = [
            from_gateway(
                [sample(number, tokens=number) for number in numbers], offset=place, partition=partitions[place]
            )
            for place, numbers in enumerate(batches)
        ]
        left = list(crashes)
        place = 0
        while place < len(records):
            crash = next((found for found in left if found[0] == place), None)
            bench.break_at = (crash[1], Crash()) if crash else None
            try:
                await bench.counter.count(records[place])
                place += 1
            except Crash:
                assert crash is not None
                left.remove(crash)
                bench.totals.recover(lost=min(crash[2], len(bench.totals.writes)))
                bench.new_worker()
                place = max(0, place - crash[3])
            else:
                left = [found for found in left if found is not crash]
        await check(bench)

    async def check(bench: Bench) -> None:
        seen = Counter(number for numbers in batches for number in numbers)
        assert await bench.used("api_calls") == len(seen)
        assert await bench.used("input_tokens") == sum(seen)
        assert await bench.used("duplicates") == seen.total() - len(seen)
        assert set((await bench.accounts.drift(NOON.date())).values()) == {0}
        assert bench.dead_letters.letters == []

    asyncio.run(run())


async def test_a_stale_table_is_set_right_by_the_ledger_after_an_assignment() -> None:
    """given a worker that lost a partition; when another counted on it; then the first goes on from the ledger."""
    bench = Bench()
    first = bench.counter
    await first.count(from_gateway([sample(1)]))
    stale = InMemoryTotals()
    for key, total in bench.totals.writes:
        stale.put(key, total)
    await bench.new_worker().count(from_gateway([sample(2)], offset=1))

    first._totals = stale
    first.forget([0])
    await first.count(from_gateway([sample(3)], offset=2))
    assert await bench.used("api_calls") == 3


async def test_a_transient_failure_is_tried_again_until_it_passes() -> None:
    bench = Bench()
    for step in STEPS:
        bench.break_at = (step, TransientError("away"))
        await bench.counter.count(from_gateway([sample(STEPS.index(step))], offset=STEPS.index(step)))
        assert bench.break_at is None
    assert await bench.used("api_calls") == len(STEPS)
    assert bench.dead_letters.letters == []


async def test_holds_end_with_the_samples_that_used_them_also_with_duplicates() -> None:
    bench, scope = Bench(), day_scope(str(TENANT), "api_calls", NOON.date())
    used, again, kept = (hold_name(TENANT, hold_id) for hold_id in ("used", "again", "kept"))
    for name in (used, again, kept):
        await bench.quota.hold(name, [Ask(scope, 10, 100)], 60)
    await bench.counter.count(from_gateway([sample(1, calls=10, hold_id=used)]))
    await bench.counter.count(from_gateway([sample(1, calls=10, hold_id=again)], offset=1))
    assert await bench.quota.usage(scope) == Usage(settled=10, held=10)


async def test_a_tenant_who_reports_to_kafka_itself_ends_its_own_holds() -> None:
    bench, scope = Bench(), day_scope(str(TENANT), "api_calls", NOON.date())
    await bench.quota.hold(hold_name(TENANT, "h"), [Ask(scope, 10, 100)], 60)
    await bench.counter.count(signed(OWN, TENANT, [sample(1, hold_id=hold_name(TENANT, "h"))]))
    assert await bench.quota.usage(scope) == Usage(settled=1, held=0)


@pytest.mark.parametrize("signer", [OWN, PLATFORM], ids=["the tenant", "a gateway"])
@pytest.mark.parametrize("hold_id", ["h", hold_name(uuid4(), "h")], ids=["nobody's", "another's"])
async def test_nobody_ends_a_hold_that_is_not_of_the_samples_tenant(signer: Signer, hold_id: str) -> None:
    bench, scope = Bench(), day_scope(str(TENANT), "api_calls", NOON.date())
    await bench.quota.hold(hold_id, [Ask(scope, 10, 100)], 60)
    await bench.counter.count(signed(signer, TENANT, [sample(1, hold_id=hold_id)]))
    assert await bench.quota.usage(scope) == Usage(settled=1, held=10)


async def test_passed_thresholds_are_said_once_with_what_caused_them() -> None:
    bench = Bench()
    await bench.accounts.set_limits(TENANT, Limit(meter=Meter.API_CALLS, window=Window.DAY, amount=4))
    for number in range(6):
        await bench.counter.count(from_gateway([sample(number)], offset=number))
        await bench.counter.count(from_gateway([sample(number)], offset=number))
    said = [
        (event.percent if isinstance(event, QuotaThresholdReached) else None, event.settled)
        for event in bench.accounts.said
    ]
    assert said == [(75, 3), (90, 4), (100, 4), (None, 5)]
    assert isinstance(bench.accounts.said[-1], QuotaExceeded)
    origin = next(iter(bench.accounts.rows.said.values()))[1]
    assert (origin.tenant_id, origin.causation_id) == (TENANT, "event-2")


async def test_what_cannot_be_read_is_set_aside_and_is_not_our_fault() -> None:
    bench = Bench()
    bench.dead_letters.trip_wire = TripWire(run=1)
    for offset in range(5):
        await bench.counter.count(record(b"{", [], offset=offset))
    assert bench.dead_letters.reasons == ["envelope"] * 5
    assert not any(defect.is_our_fault for _, defect in bench.dead_letters.letters)


async def test_what_fails_unexpectedly_is_tried_thrice_then_set_aside_until_the_wire_trips() -> None:
    bench = Bench()
    bench.dead_letters.trip_wire = TripWire(run=2)
    bench.quota.settle_all = broken  # type: ignore[method-assign, assignment]
    for offset in range(2):
        await bench.counter.count(from_gateway([sample(offset)], offset=offset))
    with pytest.raises(TripWireError):
        await bench.counter.count(from_gateway([sample(2)], offset=2))
    assert bench.dead_letters.reasons == ["RuntimeError"] * 2
    assert {defect.attempts for _, defect in bench.dead_letters.letters} == {3}


async def broken(_: Sequence[object]) -> list[bool]:
    raise RuntimeError("a bug")
