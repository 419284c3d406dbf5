"""What the gateway saw, per deployment and revision, for any window of the recent past."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

KEPT = 100_000
"""Requests per revision that are remembered: five minutes at 300 a second."""


@dataclass(frozen=True)
class Sample:
    """One request."""

    at: float
    """When it ended, in seconds of the epoch."""
    latency_ms: float
    is_error: bool


class Measurements:
    """The samples of all deployments."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[int, deque[Sample]]] = {}

    def add(self, deployment: str, revision: int, sample: Sample) -> None:
        """Remember one request; the oldest one goes when there are too many."""
        self._samples.setdefault(deployment, {}).setdefault(revision, deque(maxlen=KEPT)).append(sample)

    def within(self, deployment: str, since: float, until: float) -> dict[int, dict[str, float]]:
        """Requests, errors and p99 latency of each revision from `since` (inclusive) to `until` (exclusive)."""
        revisions = self._samples.get(deployment, {})
        return {revision: summarise(_within(samples, since, until)) for revision, samples in revisions.items()}

    def forget(self, deployment: str) -> None:
        """Drop what is known of a deployment."""
        self._samples.pop(deployment, None)


def summarise(samples: list[Sample]) -> dict[str, float]:
    """Requests, errors, and the latency that 99 % of the requests did not exceed (nearest rank), in ms."""
    latencies = sorted(sample.latency_ms for sample in samples)
    rank = math.ceil(0.99 * len(latencies)) - 1
    return {
        "requests": len(samples),
        "errors": sum(sample.is_error for sample in samples),
        "latency_p99_ms": latencies[rank] if latencies else 0.0,
    }


def _within(samples: deque[Sample], since: float, until: float) -> list[Sample]:
    found = []
    for sample in reversed(samples):
        if sample.at < since:
            break
        if sample.at < until:
            found.append(sample)
    return found
