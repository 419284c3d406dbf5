"""Circuit breakers and back-off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pybreaker
from loguru import logger

from services.kit.errors import TransientError
from services.kit.observability import metrics

ResultT = TypeVar("ResultT")


class Breaker:
    """pybreaker behind one async adapter: after `fail_max` failures in a row, calls fail at once for a while.

    Only `TransientError` counts as a failure: a refused request says that the other side is well. (pybreaker's own
    `call_async` needs Tornado; its `calling` context works around an await.)
    """

    def __init__(self, name: str, *, fail_max: int = 5, reset_seconds: float = 5.0) -> None:
        self.name = name
        self._reset_seconds = reset_seconds
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=fail_max,
            reset_timeout=reset_seconds,
            exclude=[lambda error: not isinstance(error, TransientError)],
            listeners=[_Listener(name)],
            name=name,
            throw_new_error_on_trip=False,
        )

    async def call(self, make: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Await what `make` makes; raises `TransientError` at once while the breaker is open."""
        try:
            with self._breaker.calling():
                return await make()
        except pybreaker.CircuitBreakerError as error:
            raise TransientError(f"{self.name} is away (circuit open)", self._reset_seconds) from error


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, name: str) -> None:
        self._name = name

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        """Log and count each change of state."""
        logger.warning("breaker {}: {} -> {}", self._name, getattr(old_state, "name", None), new_state.name)
        metrics.BREAKER_OPEN.labels(self._name).set(float(new_state.name == "open"))


class Backoff:
    """Exponential back-off with full jitter: between 0 and min(cap, base * 2^attempt) seconds."""

    def __init__(
        self, base: float = 0.1, cap: float = 5.0, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._base = base
        self._cap = cap
        self._uniform = uniform

    def seconds(self, attempt: int) -> float:
        """How long to wait before the attempt after number `attempt` (from 1)."""
        return self._uniform(0, min(self._cap, self._base * 2 ** min(attempt, 30)))

    async def wait(self, attempt: int) -> None:
        """Wait that long."""
        await asyncio.sleep(self.seconds(attempt))
