"""The statistics of the benchmarks: medians, percentiles, and what is compared with what."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the middle two; raises `ValueError` when there is none."""
    return statistics.median(samples)


def percentile(samples: Sequence[float], percent: float) -> float:
    """The value that `percent` (0 to 100) of the samples do not exceed, linear between its two neighbours.

    This is the definition of numpy's default. Raises `ValueError` without samples or for a percent out of range.
    """
    if not samples or not 0 <= percent <= 100:
        raise ValueError("a percentile needs samples, and a percent from 0 to 100")
    ordered = sorted(samples)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def shares(parts: dict[str, float]) -> dict[str, float]:
    """Each part as a share of the sum, 0 to 1; all 0 when the sum is."""
    total = sum(parts.values())
    return {name: part / total if total else 0.0 for name, part in parts.items()}


@dataclass(frozen=True)
class Rates:
    """What one contender reached, round by round."""

    per_second: tuple[float, ...]
    """Messages per second, one sample a round; at least one."""

    @property
    def median(self) -> float:
        """Messages per second."""
        return median(self.per_second)

    @property
    def spread(self) -> float:
        """(fastest - slowest) / median: how far to trust the median. 0 when all rounds were alike."""
        return (max(self.per_second) - min(self.per_second)) / self.median


@dataclass(frozen=True)
class Comparison:
    """The kit beside the hand-written baseline, measured in turn."""

    kit: Rates
    baseline: Rates
    """As many rounds as `kit`: round n of both ran one after the other."""
    aim: float
    """The ratio that is good enough."""

    def __post_init__(self) -> None:
        if len(self.kit.per_second) != len(self.baseline.per_second):
            raise ValueError("both must have run the same number of rounds")

    @property
    def ratio(self) -> float:
        """Median of the kit / median of the baseline; 1 = the kit costs nothing."""
        return self.kit.median / self.baseline.median

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each round: what disturbed the machine for long disturbed both sides of it."""
        return tuple(kit / bare for kit, bare in zip(self.kit.per_second, self.baseline.per_second, strict=True))

    @property
    def best_ratio(self) -> float:
        """Fastest round of the kit / fastest round of the baseline: those that were disturbed least."""
        return max(self.kit.per_second) / max(self.baseline.per_second)

    @property
    def is_met(self) -> bool:
        """Whether the ratio reaches the aim."""
        return self.ratio >= self.aim


@dataclass(frozen=True)
class Latencies:
    """Durations of single requests."""

    milliseconds: tuple[float, ...]
    """At least one."""

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return percentile(self.milliseconds, 50)

    @property
    def p99(self) -> float:
        """Milliseconds. Of fewer than 100 samples it is close to the slowest."""
        return percentile(self.milliseconds, 99)

    @property
    def slowest(self) -> float:
        """Milliseconds."""
        return max(self.milliseconds)
