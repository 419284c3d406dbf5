"""Rollouts that failed unexpectedly: each stands still for a while of its own, and the others of its shard go on."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from services.kit.clock import Clock
from services.kit.resilience import Backoff


class Standstill:
    """Which rollouts are not to be looked at yet. Only in memory: a new owner may try each of them once, at once."""

    def __init__(self, clock: Clock, backoff: Backoff) -> None:
        self._clock = clock
        self._backoff = backoff
        self._failures: dict[UUID, tuple[int, datetime]] = {}

    def holds(self, deployment_id: UUID) -> bool:
        """Whether it is too early to look at this one again."""
        failure = self._failures.get(deployment_id)
        return failure is not None and self._clock.now() < failure[1]

    def failed(self, deployment_id: UUID) -> float:
        """Its pass failed; returns for how many seconds it stands still, more each time on average."""
        count = self._failures.get(deployment_id, (0, None))[0] + 1
        seconds = self._backoff.seconds(count)
        self._failures[deployment_id] = count, self._clock.now() + timedelta(seconds=seconds)
        return seconds

    def passed(self, deployment_id: UUID) -> None:
        """Its pass was well."""
        self._failures.pop(deployment_id, None)
