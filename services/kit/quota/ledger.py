"""Quotas in Redis: the scripts behind one adapter. Amounts are whole numbers in the meter's unit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.commands.core import AsyncScript

from services.kit.errors import TransientError
from services.kit.observability import metrics
from services.kit.quota import keys
from services.kit.quota.model import (
    DUPLICATES,
    Ask,
    Held,
    QuotaConflict,
    QuotaDenied,
    QuotaLedger,
    QuotaUnavailable,
    Scope,
    Settlement,
    Usage,
    check_asks,
    day_scope,
    day_scopes,
    month_scope,
    scope_at,
)
from services.kit.redis_breaker import RedisBreaker

__all__ = [
    "DUPLICATES",
    "Ask",
    "Held",
    "QuotaConflict",
    "QuotaDenied",
    "QuotaLedger",
    "QuotaUnavailable",
    "RedisQuota",
    "Scope",
    "Settlement",
    "Usage",
    "day_scope",
    "day_scopes",
    "month_scope",
    "scope_at",
]

ResultT = TypeVar("ResultT")

LOST = "the quota data set was lost and is not rebuilt yet"


class RedisQuota:
    """The `QuotaLedger` that all copies of all services share. One per process."""

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = 32,
        timeout_seconds: float = 2.0,
        breaker: RedisBreaker | None = None,
    ) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=timeout_seconds * 2,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            decode_responses=True,
            retry=Retry(ConstantBackoff(0.05), 1),
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._breaker = breaker or RedisBreaker()
        self._hold = self._script("hold")
        self._commit = self._script("commit")
        self._release = self._script("release")
        self._settle = self._script("settle")
        self._usage = self._script("usage")

    async def hold(self, hold_id: str, asks: Sequence[Ask], ttl_seconds: int) -> Held:
        """See `QuotaLedger.hold`. Raises ValueError when asks are of several tenants or name a limit twice."""
        if not asks:
            return Held(hold_id, ())
        check_asks(asks, ttl_seconds)
        arguments: list[Any] = [asks[0].scope.tenant_id, hold_id, ttl_seconds * 1000, keys.fingerprint(asks)]
        for ask in asks:
            arguments += [keys.part(ask.scope), ask.scope.window_start.isoformat(), ask.amount, ask.limit]
        outcome, *details = await self._call(self._hold, arguments)
        if outcome == "lost":
            raise QuotaUnavailable(LOST)
        if outcome == "conflict":
            raise QuotaConflict(f"hold {hold_id!r} stands for other amounts already")
        if outcome == "spent":
            raise QuotaConflict(f"hold {hold_id!r} was committed already")
        if outcome == "denied":
            raise QuotaDenied(asks[details[0] - 1], _usage(details[1]))
        return Held(hold_id, tuple(_usage(usage) for usage in details[0]))

    async def commit(self, hold_id: str, amounts: Mapping[str, int]) -> None:
        """See `QuotaLedger.commit`. A hold that had expired is counted in a metric."""
        arguments = [hold_id, *(word for amount in amounts.items() for word in amount)]
        for meter in await self._call(self._commit, arguments):
            metrics.QUOTA_OVERRUN.labels(meter).inc()

    async def release(self, hold_id: str) -> None:
        """See `QuotaLedger.release`."""
        await self._call(self._release, [hold_id])

    async def settle(self, scope: Scope, partition: int, total: int, hi: int, hold_ids: Sequence[str] = ()) -> bool:
        """See `QuotaLedger.settle`."""
        return (await self.settle_all([Settlement(scope, partition, total, hi, hold_ids)]))[0]

    async def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        """See `QuotaLedger.settle_all`. After a failure some may stand; doing all again is right."""
        return await self._settle_each(settlements, rebuilding=False)

    async def usage(self, scope: Scope) -> Usage:
        """See `QuotaLedger.usage`."""
        return (await self.read([scope]))[0]

    async def read(self, scopes: Sequence[Scope]) -> list[Usage]:
        """See `QuotaLedger.read`."""
        answers = await self._call_each(self._usage, [[keys.bucket(scope)] for scope in scopes])
        if ["lost"] in answers:
            raise QuotaUnavailable(LOST)
        return [_usage(answer) for answer in answers]

    async def is_intact(self) -> bool:
        """See `QuotaLedger.is_intact`."""
        return bool(await self._reach(lambda: self._redis.exists(keys.EPOCH)))

    async def restore(self, settlements: Sequence[Settlement]) -> None:
        """See `QuotaLedger.restore`."""
        await self._settle_each(settlements, rebuilding=True)

    async def mark_intact(self, epoch: str) -> None:
        """See `QuotaLedger.mark_intact`."""
        await self._reach(lambda: self._redis.set(keys.EPOCH, epoch, nx=True))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _settle_each(self, settlements: Sequence[Settlement], *, rebuilding: bool) -> list[bool]:
        calls = [_settle_arguments(settlement, rebuilding) for settlement in settlements]
        answers = await self._call_each(self._settle, calls)
        if -1 in answers:
            raise QuotaUnavailable(LOST)
        return [answer == 1 for answer in answers]

    async def _call(self, script: AsyncScript, arguments: Sequence[Any]) -> Any:
        return await self._reach(lambda: script(keys=[keys.EPOCH], args=arguments))

    async def _call_each(self, script: AsyncScript, calls: Sequence[Sequence[Any]]) -> list[Any]:
        if not calls:
            return []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for arguments in calls:
                await script(keys=[keys.EPOCH], args=arguments, client=pipeline)
            return list(await self._reach(pipeline.execute))

    async def _reach(self, make: Callable[[], Awaitable[ResultT]]) -> ResultT:
        try:
            return await self._breaker.call(make)
        except TransientError as error:
            raise QuotaUnavailable(str(error), error.retry_after) from error

    def _script(self, name: str) -> AsyncScript:
        folder = files("services.kit.quota") / "scripts"
        text = (folder / "scopes.lua").read_text() + (folder / f"{name}.lua").read_text()
        return self._redis.register_script(text)


def _settle_arguments(settlement: Settlement, rebuilding: bool) -> list[Any]:
    scope = settlement.scope
    return [
        scope.tenant_id,
        keys.part(scope),
        scope.window_start.isoformat(),
        settlement.partition,
        settlement.total,
        settlement.hi,
        int(rebuilding),
        *settlement.hold_ids,
    ]


def _usage(answer: Any) -> Usage:
    """Summed here and not in Lua, whose numbers are exact up to 2^53 only."""
    held, totals = answer
    return Usage(settled=sum(map(int, totals)), held=int(held))
