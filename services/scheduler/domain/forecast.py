"""When waiting requests start, as far as the ends of what runs are known.

Reservations with an expected length are taken to end on time, or now when they are overdue; those without one never.
Requests start in their order and none before the one before it, so an estimate is late rather than early.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from schemas.resources import Allocation, Resources
from services.scheduler.domain.cluster import Flags
from services.scheduler.domain.feasibility import pods_now, right_model
from services.scheduler.domain.model import Waiting
from services.scheduler.domain.place import Placement, place
from services.scheduler.domain.snapshot import Snapshot

Pods = tuple[Resources, tuple[Allocation, ...]]
"""Pods of one reservation."""


class Forecast:
    """The future of a snapshot: time goes forward, reservations end, requests start. Only within `forecast`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._now = snapshot.now
        self._number = len(snapshot.timed)
        self._ends: list[tuple[datetime, int, Pods]] = []
        for number, (reservation_id, ends_at) in enumerate(sorted(snapshot.timed.items())):
            held = snapshot.reservations[reservation_id]
            self._ends.append((max(ends_at, self._now), number, (held.request.resources, held.allocations)))
        heapq.heapify(self._ends)
        self._undo: list[tuple[bool, Pods]] = []

    def start(self, waiting: Waiting, allowed: Flags | None = None) -> tuple[datetime, Placement] | None:
        """When and where it starts, beside those that were asked about before it; None when no known end helps."""
        cluster, request = self._snapshot.cluster, waiting.request
        rows = right_model(cluster, request.resources) & (True if allowed is None else allowed)
        pods = len(waiting.replicas) * request.resources.workers
        while True:
            placement = None
            if pods_now(cluster, request.resources, rows) >= pods:
                placement = place(cluster, self._snapshot.chooser, request.resources, waiting.replicas, allowed)
            if placement is not None:
                self._begin(waiting, placement)
                return self._now, placement
            if not self._ends:
                return None
            self._next_end()

    def _next_end(self) -> None:
        """Go on to the next end, and to all that end at the same time."""
        self._now = self._ends[0][0]
        while self._ends and self._ends[0][0] == self._now:
            _, _, pods = heapq.heappop(self._ends)
            self._change(pods, is_start=False)

    def _begin(self, waiting: Waiting, placement: Placement) -> None:
        pods = (waiting.request.resources, placement.allocations)
        self._change(pods, is_start=True)
        if waiting.request.expected is not None:
            self._number += 1
            heapq.heappush(self._ends, (self._now + waiting.request.expected, self._number, pods))

    def _change(self, pods: Pods, *, is_start: bool) -> None:
        cluster = self._snapshot.cluster
        for allocation in pods[1]:
            (cluster.take if is_start else cluster.give)(pods[0], allocation)
        self._undo.append((is_start, pods))

    def undo(self) -> None:
        """Make the cluster as it was."""
        while self._undo:
            is_start, pods = self._undo.pop()
            for allocation in reversed(pods[1]):
                (self._snapshot.cluster.give if is_start else self._snapshot.cluster.take)(pods[0], allocation)


@contextmanager
def forecast(snapshot: Snapshot) -> Iterator[Forecast]:
    """A look ahead; at the end of the block the cluster is as before."""
    ahead = Forecast(snapshot)
    try:
        yield ahead
    finally:
        ahead.undo()
