"""The contract of `DuplicateMarks`, for the in-memory and the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from services.ingest_api.adapters import redis_marks
from services.ingest_api.adapters.redis_marks import RedisDuplicateMarks
from services.ingest_api.ports import DuplicateMarks
from services.kit.errors import TransientError
from tests.fakes.ingest_api.memory import InMemoryDuplicateMarks


@pytest.fixture(params=["in memory", "redis"])
async def marks(request: pytest.FixtureRequest) -> AsyncIterator[DuplicateMarks]:
    """Both kinds."""
    if request.param == "in memory":
        yield InMemoryDuplicateMarks()
        return
    real = RedisDuplicateMarks(request.getfixturevalue("addresses").redis_url)
    yield real
    await real.close()


async def test_what_is_done_is_not_fresh(marks: DuplicateMarks) -> None:
    tenant = uuid4()
    assert await marks.claim(tenant, "/gw", ["a", "b"]) == {"a", "b"}
    await marks.done(tenant, "/gw", ["a", "b"])
    assert await marks.claim(tenant, "/gw", ["b", "c"]) == {"c"}


async def test_what_is_pending_elsewhere_stops_the_whole_claim(marks: DuplicateMarks) -> None:
    tenant = uuid4()
    await marks.claim(tenant, "/gw", ["a"])
    assert await marks.claim(tenant, "/gw", ["b", "a"]) is None
    assert await marks.claim(tenant, "/gw", ["b"]) == {"b"}


async def test_what_was_forgotten_is_fresh_again(marks: DuplicateMarks) -> None:
    tenant = uuid4()
    await marks.claim(tenant, "/gw", ["a"])
    await marks.forget(tenant, "/gw", ["a"])
    await marks.forget(tenant, "/gw", [])
    assert await marks.claim(tenant, "/gw", ["a"]) == {"a"}


async def test_tenants_and_sources_are_apart(marks: DuplicateMarks) -> None:
    tenant, other = uuid4(), uuid4()
    await marks.claim(tenant, "/gw", ["a"])
    assert await marks.claim(other, "/gw", ["a"]) == {"a"}
    assert await marks.claim(tenant, "/gw2", ["a"]) == {"a"}


async def test_one_of_many_claims_at_once_wins(marks: DuplicateMarks) -> None:
    tenant, ids = uuid4(), [f"s-{number}" for number in range(500)]
    claims = await asyncio.gather(*(marks.claim(tenant, "/gw", ids) for _ in range(8)))
    assert [len(fresh) for fresh in claims if fresh is not None] == [500]


async def test_a_dead_process_holds_its_samples_for_a_moment_only(request: pytest.FixtureRequest) -> None:
    """In Redis alone: pending marks expire soon, done ones in a day."""
    url, tenant = request.getfixturevalue("addresses").redis_url, uuid4()
    marks, redis = RedisDuplicateMarks(url), Redis.from_url(url)
    await marks.claim(tenant, "/gw", ["a"])
    [key] = [key async for key in redis.scan_iter(f"*{tenant}*")]
    assert 0 < await redis.pttl(key) <= redis_marks.PENDING_MS
    await marks.done(tenant, "/gw", ["a"])
    assert await redis.pttl(key) > redis_marks.DONE_MS - 60_000
    await redis.aclose()
    await marks.close()


async def test_redis_away_is_transient() -> None:
    marks = RedisDuplicateMarks("redis://127.0.0.1:1/0")
    with pytest.raises(TransientError):
        await marks.claim(uuid4(), "/gw", ["a"])
    await marks.close()
