"""Marks of recorded samples in Redis: one key a sample, by a hash of its source and id, for a day."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

from redis.asyncio import Redis

from services.kit.redis_breaker import RedisBreaker

PENDING_MS = 15_000
"""Longer than a delivery may take; then the mark of a process that died is gone and a retry goes through."""
DONE_MS = 24 * 60 * 60 * 1000

CLAIM = """
local states = redis.call('MGET', unpack(KEYS))
local fresh = {}
for i = 1, #KEYS do
  if states[i] == 'pending' then return false end
  if not states[i] then fresh[#fresh + 1] = i end
end
for _, i in ipairs(fresh) do redis.call('SET', KEYS[i], 'pending', 'PX', ARGV[1]) end
return fresh
"""
"""All or nothing: 1-based numbers of the keys that were not marked, pending now; nil when one is pending elsewhere."""


class RedisDuplicateMarks:
    """`DuplicateMarks`. The tenant stands in braces, so that all keys of a script are in one slot."""

    def __init__(self, url: str, *, timeout_seconds: float = 2.0, breaker: RedisBreaker | None = None) -> None:
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, decode_responses=True
        )
        self._breaker = breaker or RedisBreaker()
        self._claim = self._redis.register_script(CLAIM)

    async def claim(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> set[str] | None:
        """See the port."""
        marks = _keys(tenant_id, source, ids)
        fresh = await self._breaker.call(lambda: self._claim(keys=marks, args=[PENDING_MS]))
        return None if fresh is None else {ids[number - 1] for number in fresh}

    async def done(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> None:
        """See the port."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in _keys(tenant_id, source, ids):
                pipeline.set(key, "done", px=DONE_MS)
            await self._breaker.call(pipeline.execute)

    async def forget(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> None:
        """See the port."""
        if ids:
            marks = _keys(tenant_id, source, ids)
            await self._breaker.call(lambda: self._redis.delete(*marks))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _keys(tenant_id: UUID, source: str, ids: Sequence[str]) -> list[str]:
    prefix = f"taxiway:usage:{{{tenant_id}}}:seen:"
    return [prefix + hashlib.sha256(f"{source}\n{sample_id}".encode()).hexdigest()[:32] for sample_id in ids]
