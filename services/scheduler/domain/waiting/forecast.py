"""When waiting requests start, as far as the ends of what runs are known.

Reservations with an expected length are taken to end on time; those without one never. One that is overdue is taken to
need as much longer as it is late already, so that who waits for it asks again ever more rarely. Requests start in their
order and none before the one before it, so an estimate is late rather than early.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Waiting
from services.scheduler.domain.nodes.cluster import Cluster, Flags
from services.scheduler.domain.placing.feasibility import pods_now, right_model
from services.scheduler.domain.placing.place import UNRANKED, Placement, place
from services.scheduler.domain.pool.snapshot import PATIENCE, Snapshot

Step = Callable[..., None]
"""Something done to a cluster."""


class Change(NamedTuple):
    """Pods come or go, or places are kept no longer."""

    do: Step
    undo: Step
    resources: Resources
    allocations: tuple[Allocation, ...]


class Start(NamedTuple):
    """When and where a request starts."""

    at: datetime
    placement: Placement


class Forecast:
    """The future of a snapshot: time goes forward, reservations end, requests start. Only within `forecast`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._now = snapshot.now
        self._done: list[Change] = []
        ends = [(_end(ends_at, self._now), each) for each, ends_at in snapshot.timed.items()]
        self._ends: list[tuple[datetime, int, Change]] = []
        for number, (ends_at, reservation_id) in enumerate(sorted(ends)):
            held = snapshot.reservations[reservation_id]
            pods = held.request.resources, held.allocations
            self._ends.append((ends_at, number, Change(Cluster.give, Cluster.take, *pods)))
        self._number = len(self._ends)
        self._expect_promises()

    def start(self, waiting: Waiting, allowed: Flags | None = None) -> Start | None:
        """When and where it starts, beside those that were asked about before it; None when no known end helps, and
        then the next one is looked at as if this one were not there."""
        claim = self._snapshot.claims.get(waiting.reservation_id)
        if claim is not None and claim.promised_at is not None:
            return Start(max(claim.promised_at, self._snapshot.now), Placement(claim.allocations, UNRANKED))
        cluster, request = self._snapshot.cluster, waiting.request
        rows = right_model(cluster, request.resources) & (True if allowed is None else allowed)
        pods = len(waiting.replicas) * request.resources.workers
        before = self._now, list(self._ends), len(self._done)
        while True:
            placement = None
            if pods_now(cluster, request.resources, rows) >= pods:
                placement = place(cluster, self._snapshot.chooser, request.resources, waiting.replicas, allowed)
            if placement is not None:
                self._begin(waiting, placement)
                return Start(self._now, placement)
            if not self._ends:
                self._now, self._ends, done = before
                self.undo(done)
                return None
            self._next_end()

    def _expect_promises(self) -> None:
        """What is promised is taken until its holder ends."""
        for claim in self._snapshot.claims.values():
            request = self._snapshot.request(claim.reservation_id)
            if claim.promised_at is not None and request is not None and request.expected is not None:
                pods = claim.resources, claim.allocations
                self._expect(claim.promised_at + request.expected, Change(Cluster.let_go, Cluster.hold, *pods))

    def _expect(self, at: datetime, change: Change) -> None:
        self._number += 1
        heapq.heappush(self._ends, (at, self._number, change))

    def _next_end(self) -> None:
        """Go on to the next end, and to all that end at the same time."""
        self._now = max(self._now, self._ends[0][0])
        while self._ends and self._ends[0][0] <= self._now:
            self._do(heapq.heappop(self._ends)[2])

    def _begin(self, waiting: Waiting, placement: Placement) -> None:
        pods = waiting.request.resources, placement.allocations
        self._do(Change(Cluster.take, Cluster.give, *pods))
        if waiting.request.expected is not None:
            self._expect(self._now + waiting.request.expected, Change(Cluster.give, Cluster.take, *pods))

    def _do(self, change: Change) -> None:
        change.do(self._snapshot.cluster, change.resources, *change.allocations)
        self._done.append(change)

    def undo(self, until: int = 0) -> None:
        """Make the cluster as it was after so many changes."""
        while len(self._done) > until:
            change = self._done.pop()
            change.undo(self._snapshot.cluster, change.resources, *change.allocations)


def _end(ends_at: datetime, now: datetime) -> datetime:
    return ends_at if ends_at > now else now + max(now - ends_at, PATIENCE)


@contextmanager
def forecast(snapshot: Snapshot) -> Iterator[Forecast]:
    """A look ahead; at the end of the block the cluster is as before."""
    ahead = Forecast(snapshot)
    try:
        yield ahead
    finally:
        ahead.undo()
