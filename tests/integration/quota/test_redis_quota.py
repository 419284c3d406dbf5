"""Redis away, restarted, killed: nothing is let through uncounted, and nothing acknowledged is forgotten."""

from __future__ import annotations

import asyncio
from datetime import date
from uuid import uuid4

import pytest

from infra.local.stack import Addresses, LocalStack
from services.kit.observability import metrics
from services.kit.quota.ledger import Ask, QuotaUnavailable, RedisQuota, Usage, day_scope

SCOPE = day_scope(str(uuid4()), "api_calls", date(2026, 3, 31))


async def test_is_unavailable_while_redis_is_away_and_keeps_holds_over_a_kill(
    local_stack: LocalStack, addresses: Addresses
) -> None:
    """given a hold; when Redis is killed; then calls fail as unavailable; when it is back, the hold stands."""
    quota = RedisQuota(addresses.redis_url)
    await quota.mark_intact("first")
    await quota.hold("kept", [Ask(SCOPE, 30, 50)], 600)

    local_stack.kill("redis")
    try:
        with pytest.raises(QuotaUnavailable):
            await quota.hold("lost", [Ask(SCOPE, 1, 50)], 600)
        with pytest.raises(QuotaUnavailable):
            await quota.settle(SCOPE, 0, 1, 1)
        with pytest.raises(QuotaUnavailable):
            await quota.is_intact()
    finally:
        local_stack.start("redis")

    assert await quota.usage(SCOPE) == Usage(held=30)
    await quota.commit("kept", {"api_calls": 30})
    assert await quota.settle(SCOPE, 0, 30, 1, ["kept"])
    assert await quota.usage(SCOPE) == Usage(settled=30)
    await quota.close()


async def test_counts_holds_that_were_used_after_they_expired(addresses: Addresses) -> None:
    """given a hold that has expired; when it is committed; then the metric tells, and names the meter."""
    quota = RedisQuota(addresses.redis_url)
    await quota.mark_intact("first")
    overruns = metrics.QUOTA_OVERRUN.labels("late_calls")
    before = overruns._value.get()
    await quota.hold("late", [Ask(day_scope(str(uuid4()), "late_calls", date(2026, 3, 31)), 1, 5)], 1)
    await asyncio.sleep(1.05)
    await quota.commit("late", {"late_calls": 1})
    assert overruns._value.get() == before + 1
    await quota.close()
