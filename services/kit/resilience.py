"""Circuit breakers and back-off."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
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
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=fail_max, listeners=[_Listener(name)], name=name, throw_new_error_on_trip=False
        )
        metrics.BREAKER_OPEN.labels(name).set(0)

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return str(self._breaker.current_state)

    async def call(self, make: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """What `make` makes, awaited; raises what it raises, and `TransientError` at once while the breaker is open."""
        with self.watching():
            return await make()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The block is one call; raises what it raises, and `TransientError` at once while the breaker is open."""
        is_trial = self._admit()
        try:
            yield
        except self._failures as error:
            self._report(error, is_trial=is_trial)
            raise
        except Exception:
            self._report(None, is_trial=is_trial)
            raise
        else:
            self._report(None, is_trial=is_trial)
        finally:
            self._is_trying = self._is_trying and not is_trial

    def _admit(self) -> bool:
        """Whether this call is the trial of a half-open breaker; raises when it may not be made."""
        if self.state == pybreaker.STATE_CLOSED:
            return False
        remaining = self._opened_at + self._reset_seconds - self._monotonic()
        if remaining > 0 or self._is_trying:
            raise TransientError(f"{self.name} is away (circuit open)", max(remaining, 1.0))
        if self.state == pybreaker.STATE_OPEN:
            self._breaker.half_open()
        self._is_trying = True
        return True

    def _report(self, error: Exception | None, *, is_trial: bool) -> None:
        """Tell pybreaker how a call ended; a call from before the breaker opened has nothing to say any more."""
        if error is not None:
            metrics.BREAKER_FAILURES.labels(self.name).inc()
        if not is_trial and self.state != pybreaker.STATE_CLOSED:
            return
        if error is None and not is_trial and self._breaker.fail_counter == 0:
            return  # nothing to forget; every message passes here
        try:
            self._breaker.call(_raise, error)
        except Exception:  # pybreaker passes on what it was told; the caller has it already
            if self.state == pybreaker.STATE_OPEN:
                self._opened_at = self._monotonic()


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, name: str) -> None:
        self._name = name

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        """Log and show each change of state."""
        logger.warning("breaker {}: {} -> {}", self._name, getattr(old_state, "name", None), new_state.name)
        metrics.BREAKER_OPEN.labels(self._name).set(float(new_state.name == pybreaker.STATE_OPEN))


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
