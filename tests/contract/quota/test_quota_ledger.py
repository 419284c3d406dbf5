"""What every quota ledger does, in memory and in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from services.kit.clock import HeldClock
from services.kit.quota.ledger import RedisQuota
from services.kit.quota.model import (
    Ask,
    QuotaConflict,
    QuotaDenied,
    QuotaLedger,
    QuotaUnavailable,
    Scope,
    Settlement,
    Usage,
    day_scope,
    day_scopes,
    month_scope,
)
from tests.fakes.quota.ledger import InMemoryQuota

DAY = date(2026, 3, 31)
CALLS, TOKENS = "api_calls", "output_tokens"


@dataclass(frozen=True)
class Bench:
    """A ledger, and what tests do to it from outside."""

    quota: QuotaLedger
    pass_time: Callable[[float], Awaitable[None]]
    """Let so many seconds go by."""
    lose: Callable[[], Awaitable[None]]
    """Lose the data set."""
    tenant: str

    def day(self, meter: str = CALLS, day: date = DAY) -> Scope:
        return day_scope(self.tenant, meter, day)

    def month(self, meter: str = CALLS) -> Scope:
        return month_scope(self.tenant, meter, DAY)


@pytest.fixture(params=["memory", "redis"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    tenant = str(uuid4())
    if request.param == "memory":
        clock = HeldClock(datetime(2026, 3, 31, 12, tzinfo=UTC))
        memory = InMemoryQuota(clock)

        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        async def lose() -> None:
            memory.lose()

        yield Bench(memory, advance, lose, tenant)
        return
    redis = RedisQuota(request.getfixturevalue("addresses").redis_url.rpartition("/")[0] + "/6")

    async def flush() -> None:
        await redis._redis.flushdb()

    await flush()
    await redis.mark_intact("first")
    yield Bench(redis, asyncio.sleep, flush, tenant)
    await redis.close()


async def test_a_thousand_holds_against_a_cap_of_fifty_give_exactly_fifty(bench: Bench) -> None:
    async def try_to_hold(number: int) -> bool:
        try:
            await bench.quota.hold(f"{bench.tenant}-{number}", [Ask(bench.day(), 1, 50)], 60)
        except QuotaDenied:
            return False
        return True

    granted = await asyncio.gather(*(try_to_hold(number) for number in range(1000)))

    assert sum(granted) == 50
    assert await bench.quota.usage(bench.day()) == Usage(settled=0, held=50)


async def test_a_hold_is_all_or_nothing_and_names_the_limit_that_denied(bench: Bench) -> None:
    await bench.quota.settle(bench.month(), 0, 95, 1)

    with pytest.raises(QuotaDenied) as denied:
        await bench.quota.hold("h", [Ask(bench.day(), 10, 50), Ask(bench.month(), 10, 100)], 60)

    error = denied.value
    assert (error.scope, error.limit, error.settled, error.held, error.asked) == (bench.month(), 100, 95, 0, 10)
    assert await bench.quota.read([bench.day(), bench.month()]) == [Usage(), Usage(settled=95)]


async def test_exactly_the_limit_fits_and_zero_always_does(bench: Bench) -> None:
    held = await bench.quota.hold("h", [Ask(bench.day(), 50, 50)], 60)
    assert held.usages == (Usage(held=50),)
    await bench.quota.hold("zero", [Ask(bench.day(), 0, 50)], 60)
    with pytest.raises(QuotaDenied):
        await bench.quota.hold("one", [Ask(bench.day(), 1, 50)], 60)


async def test_a_hold_without_asks_holds_nothing(bench: Bench) -> None:
    assert (await bench.quota.hold("h", [], 60)).usages == ()


async def test_the_same_hold_again_gives_the_same_answer(bench: Bench) -> None:
    first = await bench.quota.hold("h", [Ask(bench.day(), 30, 50)], 60)
    again = await bench.quota.hold("h", [Ask(bench.day(), 30, 50)], 60)
    assert again == first
    assert await bench.quota.usage(bench.day()) == Usage(held=30)


async def test_the_same_id_for_other_asks_is_a_conflict(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 30, 50)], 60)
    for asks in ([Ask(bench.day(), 31, 50)], [Ask(day_scope("other", CALLS, DAY), 30, 50)]):
        with pytest.raises(QuotaConflict):
            await bench.quota.hold("h", asks, 60)


async def test_a_retry_across_midnight_is_the_same_hold(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 30, 50)], 60)
    await bench.quota.hold("h", [Ask(bench.day(day=DAY + timedelta(days=1)), 30, 50)], 60)
    tomorrow = bench.day(day=DAY + timedelta(days=1))
    assert await bench.quota.read([bench.day(), tomorrow]) == [Usage(held=30), Usage()]


async def test_a_hold_that_was_committed_is_not_granted_again(bench: Bench) -> None:
    """It would set nothing aside: a gateway that names holds by its callers' ids would serve any number for one."""
    asks = [Ask(bench.day(), 30, 50)]
    await bench.quota.hold("h", asks, 60)
    await bench.quota.commit("h", {CALLS: 20})
    for _ in range(2):
        with pytest.raises(QuotaConflict):
            await bench.quota.hold("h", asks, 60)
        await bench.quota.settle(bench.day(), 0, 20, 1, ["h"])
    assert await bench.quota.usage(bench.day()) == Usage(settled=20, held=0)


async def test_release_gives_back_and_the_id_can_be_used_again(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 30, 50)], 60)
    await bench.quota.release("h")
    await bench.quota.release("h")
    assert await bench.quota.usage(bench.day()) == Usage()
    await bench.quota.hold("h", [Ask(bench.day(), 40, 50)], 60)
    assert await bench.quota.usage(bench.day()) == Usage(held=40)


async def test_an_expired_hold_does_not_count_and_may_be_made_anew(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 50, 50)], 1)
    await bench.pass_time(1.05)
    assert await bench.quota.usage(bench.day()) == Usage()

    await bench.quota.hold("other", [Ask(bench.day(), 30, 50)], 60)
    with pytest.raises(QuotaDenied):
        await bench.quota.hold("h", [Ask(bench.day(), 50, 50)], 60)
    await bench.quota.release("other")
    await bench.quota.hold("h", [Ask(bench.day(), 50, 50)], 60)
    assert await bench.quota.usage(bench.day()) == Usage(held=50)


async def test_commit_makes_permanent_at_the_actual_amount(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 10, 50), Ask(bench.day(TOKENS), 500, 900)], 1)
    await bench.quota.commit("h", {CALLS: 12})
    await bench.quota.commit("h", {CALLS: 40, TOKENS: 1})
    await bench.quota.release("h")
    await bench.pass_time(1.05)
    assert await bench.quota.read([bench.day(), bench.day(TOKENS)]) == [Usage(held=12), Usage()]


async def test_a_hold_used_after_it_expired_stands_even_over_the_limit(bench: Bench) -> None:
    await bench.quota.hold("late", [Ask(bench.day(), 50, 50)], 1)
    await bench.pass_time(1.05)
    await bench.quota.hold("other", [Ask(bench.day(), 50, 50)], 60)
    await bench.quota.commit("late", {CALLS: 50})
    assert await bench.quota.usage(bench.day()) == Usage(held=100)


async def test_nothing_is_free_between_commit_and_settlement(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 50, 50)], 60)
    await bench.quota.commit("h", {CALLS: 50})
    assert await bench.quota.settle(bench.day(), 3, 50, 7, ["h"])
    assert await bench.quota.usage(bench.day()) == Usage(settled=50, held=0)


async def test_a_commit_after_its_own_settlement_changes_nothing(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 20, 50), Ask(bench.month(), 20, 50)], 60)
    await bench.quota.settle(bench.day(), 0, 20, 7, ["h"])
    await bench.quota.commit("h", {CALLS: 20})
    assert await bench.quota.read([bench.day(), bench.month()]) == [Usage(settled=20), Usage(held=20)]

    await bench.quota.settle(bench.month(), 0, 20, 7, ["h"])
    await bench.quota.commit("h", {CALLS: 20})
    await bench.quota.release("h")
    with pytest.raises(QuotaConflict):
        await bench.quota.hold("h", [Ask(bench.day(), 20, 50), Ask(bench.month(), 20, 50)], 60)
    assert await bench.quota.read([bench.day(), bench.month()]) == [Usage(settled=20), Usage(settled=20)]


async def test_a_hold_of_yesterday_ends_with_todays_sample(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 20, 50)], 60)
    await bench.quota.commit("h", {CALLS: 20})
    tomorrow = bench.day(day=DAY + timedelta(days=1))
    await bench.quota.settle(tomorrow, 0, 20, 7, ["h"])
    assert await bench.quota.read([bench.day(), tomorrow]) == [Usage(), Usage(settled=20)]


async def test_a_stale_settlement_moves_no_total_but_ends_its_holds(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 20, 100)], 60)
    assert await bench.quota.settle(bench.day(), 0, 60, 9)
    assert not await bench.quota.settle(bench.day(), 0, 40, 8, ["h"])
    assert not await bench.quota.settle(bench.day(), 0, 99, 9)
    assert await bench.quota.usage(bench.day()) == Usage(settled=60)


async def test_settled_is_the_sum_over_source_partitions(bench: Bench) -> None:
    big = 2**53 + 1
    settlements = [Settlement(bench.day(), partition, big, 1) for partition in range(8)]
    assert await bench.quota.settle_all(settlements) == [True] * 8
    assert await bench.quota.usage(bench.day()) == Usage(settled=8 * big)
    with pytest.raises(QuotaDenied):
        await bench.quota.hold("h", [Ask(bench.day(), 1, 2**53)], 60)


async def test_no_tenant_ends_anothers_holds(bench: Bench) -> None:
    await bench.quota.hold("h", [Ask(bench.day(), 20, 100)], 60)
    await bench.quota.settle(day_scope("other", CALLS, DAY), 0, 1, 1, ["h"])
    assert await bench.quota.usage(bench.day()) == Usage(held=20)


async def test_usage_over_days_is_read_in_order(bench: Bench) -> None:
    scopes = day_scopes(bench.tenant, CALLS, DAY - timedelta(days=2), DAY)
    await bench.quota.settle(scopes[1], 0, 5, 1)
    assert await bench.quota.read(scopes) == [Usage(), Usage(settled=5), Usage()]
    assert await bench.quota.read([]) == []


async def test_a_lost_data_set_refuses_until_it_is_restored(bench: Bench) -> None:
    await bench.quota.settle(bench.day(), 0, 30, 4)
    await bench.lose()
    assert not await bench.quota.is_intact()
    for call in (
        bench.quota.hold("h", [Ask(bench.day(), 1, 50)], 60),
        bench.quota.settle(bench.day(), 0, 31, 5),
        bench.quota.usage(bench.day()),
    ):
        with pytest.raises(QuotaUnavailable):
            await call
    await bench.quota.commit("h", {CALLS: 1})
    await bench.quota.release("h")

    await bench.quota.restore([Settlement(bench.day(), 0, 30, 4)])
    await bench.quota.mark_intact("second")

    assert await bench.quota.is_intact()
    assert await bench.quota.usage(bench.day()) == Usage(settled=30)
    assert not await bench.quota.settle(bench.day(), 0, 30, 4)


@pytest.mark.parametrize(("ttl", "amounts"), [(0, [1]), (60, [-1]), (60, [1, 1])])
async def test_nonsense_is_refused(bench: Bench, ttl: int, amounts: list[int]) -> None:
    with pytest.raises(ValueError, match="hold"):
        await bench.quota.hold("h", [Ask(bench.day(), amount, 50) for amount in amounts], ttl)
