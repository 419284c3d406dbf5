"""Where the time goes: a stopwatch that is told at each boundary which stage has just ended."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from bench.statistics import shares


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

    def shares(self) -> dict[str, float]:
        """Each stage's share of the time, 0 to 1."""
        return shares(self.seconds)
