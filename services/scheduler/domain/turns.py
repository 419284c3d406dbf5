"""Whose turn it is: the order in which a pass over the queue tries what waits.

Among tenants the one with the smallest share once its next request is placed goes first (`shares`); within its
guarantees a share is 0, and then, and among equals, priority and arrival decide. Within a tenant lost replicas go
first, then priority, then arrival.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator
from uuid import UUID

from services.scheduler.domain.model import Waiting
from services.scheduler.domain.queue import Alike, alike
from services.scheduler.domain.snapshot import Snapshot

Turn = tuple[int, tuple[bool, int, int]]
"""Share in billionths, then the rank within the tenant."""


class Turns:
    """One pass over the queue. Each request that comes is either placed, or its line is passed over."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._passed: dict[UUID, set[Alike]] = {}
        self._heap: list[tuple[Turn, UUID]] = []
        for tenant_id in snapshot.queue.tenants:
            self._push(tenant_id)

    def __iter__(self) -> Iterator[Waiting]:
        """What is to be tried next. The caller takes it from the queue or calls `pass_over` before it asks again."""
        while self._heap:
            _, tenant_id = heapq.heappop(self._heap)
            head = self._head(tenant_id)
            if head is not None:
                yield head
                self._push(tenant_id)

    def pass_over(self, waiting: Waiting) -> None:
        """It does not fit, and nor does what is alike and waits behind it."""
        self._passed.setdefault(waiting.request.tenant_id, set()).add(alike(waiting))

    def _push(self, tenant_id: UUID) -> None:
        head = self._head(tenant_id)
        if head is not None:
            heapq.heappush(self._heap, (turn_of(self._snapshot, head), tenant_id))

    def _head(self, tenant_id: UUID) -> Waiting | None:
        passed = self._passed.get(tenant_id, set())
        lines = self._snapshot.queue.lines(tenant_id)
        heads = (line[0] for key, line in lines.items() if key not in passed)
        return min(heads, key=lambda head: head.rank, default=None)


def turn_of(snapshot: Snapshot, waiting: Waiting) -> Turn:
    """When its turn comes, as far as it is its tenant's next."""
    request = waiting.request
    share = snapshot.shares.share(snapshot.tenant(request.tenant_id), request, len(waiting.replicas))
    return share, waiting.rank


def position_of(snapshot: Snapshot, waiting: Waiting) -> int:
    """Its place in the order in which requests would be tried if all before it were placed, from 1.

    Exact when the requests of each tenant are alike; else each is taken to be as large as those before it.
    """
    request = waiting.request
    own = snapshot.queue.of(request.tenant_id)
    before = bisect_left(own, waiting.rank, key=lambda each: each.rank)
    turn = _turn_after(snapshot, waiting, before)
    others = (tenant_id for tenant_id in snapshot.queue.tenants if tenant_id != request.tenant_id)
    return 1 + before + sum(_ahead(snapshot, tenant_id, turn) for tenant_id in others)


def _ahead(snapshot: Snapshot, tenant_id: UUID, turn: Turn) -> int:
    """How many of the tenant's requests come before that turn."""
    line = snapshot.queue.of(tenant_id)
    return bisect_left(range(len(line)), turn, key=lambda number: _turn_after(snapshot, line[number], number))


def _turn_after(snapshot: Snapshot, waiting: Waiting, before: int) -> Turn:
    """Its turn when so many of its tenant's have been placed before it."""
    request = waiting.request
    replicas = len(waiting.replicas) * (before + 1)
    return snapshot.shares.share(snapshot.tenant(request.tenant_id), request, replicas), waiting.rank


def in_order(snapshot: Snapshot) -> list[Waiting]:
    """All that waits, each at its position (`position_of`)."""
    turns = [
        (_turn_after(snapshot, waiting, before), waiting)
        for tenant_id in snapshot.queue.tenants
        for before, waiting in enumerate(snapshot.queue.of(tenant_id))
    ]
    return [waiting for _, waiting in sorted(turns, key=lambda each: each[0])]
