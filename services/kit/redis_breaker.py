"""Redis behind a breaker: what of its errors says that it is away, and one translation of all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.kit.errors import TransientError
from services.kit.resilience import Breaker

AWAY = (RedisConnectionError, RedisTimeoutError, OSError)
"""Other errors, such as a script's, are answers."""

ResultT = TypeVar("ResultT")


class RedisBreaker:
    """The breaker in front of one Redis server; to be shared by all clients of a process."""

    def __init__(self) -> None:
        self._breaker = Breaker("redis", failures=AWAY)

    async def call(self, make: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """What `make` makes, awaited; raises `TransientError` for any error of Redis, and while it is open."""
        try:
            return await self._breaker.call(make)
        except (RedisError, OSError) as error:
            raise TransientError(f"Redis: {type(error).__name__}: {error}") from error
