"""Where the time goes: a stopwatch that is told at each boundary which stage has just ended."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from bench.statistics import Comparison


class Stopwatch:
    """Adds up the time between marks, by stage. Not for use from two threads at once."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[str, float] = defaultdict(float)
        """Time spent in each stage so far."""

    def restart(self) -> None:
        """What passed since the last mark belongs to no stage."""
        self._last = self._clock()

    def mark(self, stage: str) -> None:
        """`stage` ends here."""
        now = self._clock()
        self.seconds[stage] += now - self._last
        self._last = now

    def per_message(self, count: int) -> dict[str, float]:
        """Microseconds per message by stage, when all of it was for `count` messages."""
        return {stage: seconds / count * 1e6 for stage, seconds in self.seconds.items()}


@dataclass(frozen=True)
class Measured:
    """A comparison, and where the time of both sides went: microseconds per message by stage, over all rounds."""

    comparison: Comparison
    kit: dict[str, float]
    baseline: dict[str, float]
