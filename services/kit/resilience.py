"""Circuit breakers and back-off."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import pybreaker
from loguru import logger

from services.kit.errors import TransientError
from services.kit.observability import metrics

ResultT = TypeVar("ResultT")

FAILURES: tuple[type[Exception], ...] = (TransientError, OSError)
"""What says that the other side is away (a timeout is an OSError). Any other answer says that it is well."""


class Breaker:
    """A pybreaker behind one async adapter: after `fail_max` failures in a row, calls fail at once for a while.

    pybreaker keeps count, and is told each result when it is known. Its own ways around a call do not fit asyncio:
    `call_async` needs Tornado, and `calling()` takes a cancelled call for a success, so that callers with a timeout of
    their own would keep the breaker closed in front of a peer that hangs. Here a cancelled call says nothing, and after
    the pause one trial call goes through at a time.
    """

    def __init__(
        self,
        name: str,
        *,
        fail_max: int = 5,
        reset_seconds: float = 2.0,
        failures: tuple[type[Exception], ...] = FAILURES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._reset_seconds = reset_seconds
        self._failures = failures
        self._monotonic = monotonic
        self._opened_at = 0.0
        self._is_trying = False
        self._is_closed = True
        self._is_calm = True
        """Closed, and no failure since the last success: the way of every message, and pybreaker need not be asked."""
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=fail_max, listeners=[_Listener(self)], name=name, throw_new_error_on_trip=False
        )
        metrics.BREAKER_OPEN.labels(name).set(0)

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return str(self._breaker.current_state)

    async def call(self, make: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """What `make` makes, awaited; raises what it raises, and `TransientError` at once while the breaker is open."""
        with _Call(self):
            return await make()

    def watching(self) -> AbstractContextManager[None]:
        """The block is one call; raises what it raises, and `TransientError` at once while the breaker is open."""
        return _Call(self)

    def _admit(self) -> bool:
        """Whether this call is the trial of a half-open breaker; raises when it may not be made."""
        if self._is_closed:
            return False
        remaining = self._opened_at + self._reset_seconds - self._monotonic()
        if remaining > 0 or self._is_trying:
            raise TransientError(f"{self.name} is away (circuit open)", max(remaining, 1.0))
        if self.state == pybreaker.STATE_OPEN:
            self._breaker.half_open()
        self._is_trying = True
        return True

    def _end(self, error: BaseException | None, *, is_trial: bool) -> None:
        """A call ended: well, with an error, or by being cancelled, which says nothing."""
        if error is None or isinstance(error, Exception):
            self._report(error if isinstance(error, self._failures) else None, is_trial=is_trial)
        if is_trial:
            self._is_trying = False

    def _report(self, failure: Exception | None, *, is_trial: bool) -> None:
        """Tell pybreaker how a call ended; a call from before the breaker opened has nothing to say any more."""
        if failure is None and self._is_calm:
            return
        if failure is not None:
            metrics.BREAKER_FAILURES.labels(self.name).inc()
        if not is_trial and not self._is_closed:
            return
        try:
            self._breaker.call(_raise, failure)
        except Exception:  # pybreaker passes on what it was told; the caller has it already
            if not self._is_closed:
                self._opened_at = self._monotonic()
        self._is_calm = failure is None

    def _changed(self, state: str) -> None:
        self._is_closed = state == pybreaker.STATE_CLOSED
        metrics.BREAKER_OPEN.labels(self.name).set(float(state == pybreaker.STATE_OPEN))


class _Call:
    """One call through a breaker; a class, for a generator would cost every message a microsecond."""

    __slots__ = ("_breaker", "_is_trial")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._is_trial = False

    def __enter__(self) -> None:
        self._is_trial = self._breaker._admit()

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._breaker._end(error, is_trial=self._is_trial)


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        """Log and show each change of state."""
        logger.warning("breaker {}: {} -> {}", self._breaker.name, getattr(old_state, "name", None), new_state.name)
        self._breaker._changed(new_state.name)


class Backoff:
    """Exponential back-off with full jitter: between 0 and min(cap, base * 2^attempt) seconds.

    Full jitter spreads the retries of many clients best (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """

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
