"""Whose turn it is: the order in which a pass over the queue tries what waits.

Among tenants the one with the smallest share once its next request is placed goes first (`shares`); within its
guarantees a share is 0, and then, and among equals, priority and arrival decide. Within a tenant lost replicas go
first, then priority, then arrival.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from uuid import UUID

from services.scheduler.domain.model import Waiting
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.pool.sums import demand_of, with_demand

Rank = tuple[bool, int, int]
"""Order within a tenant, see `Waiting.rank`."""
Turn = tuple[int, Rank]
"""Share in billionths, then the rank within the tenant."""


class Turns:
    """One pass over the queue. Each request that comes is either placed, or its line is passed over."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._is_passed = False
        self._lines: dict[UUID, list[tuple[Rank, list[Waiting]]]] = {}
        """Heaps of each tenant's lines that were not passed over."""
        self._tenants: list[tuple[Turn, UUID]] = []
        for tenant_id in snapshot.queue.tenants:
            lines = [(line[0].rank, line) for line in snapshot.queue.lines(tenant_id).values()]
            heapq.heapify(lines)
            self._lines[tenant_id] = lines
            self._push(tenant_id)

    def __iter__(self) -> Iterator[Waiting]:
        """What is to be tried next. The caller takes it from the queue or calls `pass_over` before it asks again."""
        while self._tenants:
            tenant_id = heapq.heappop(self._tenants)[1]
            lines = self._lines[tenant_id]
            line = lines[0][1]
            self._is_passed = False
            yield line[0]
            heapq.heappop(lines)
            if line and not self._is_passed:
                heapq.heappush(lines, (line[0].rank, line))
            self._push(tenant_id)

    def pass_over(self) -> None:
        """What came last does not fit, and nor does what is alike and waits behind it."""
        self._is_passed = True

    def _push(self, tenant_id: UUID) -> None:
        lines = self._lines[tenant_id]
        if lines:
            heapq.heappush(self._tenants, (turn_of(self._snapshot, lines[0][1][0]), tenant_id))


def turn_of(snapshot: Snapshot, waiting: Waiting) -> Turn:
    """When its turn comes, as far as it is its tenant's next."""
    tenant = snapshot.tenant(waiting.request.tenant_id)
    return snapshot.shares.share(tenant, dict(demand_of(waiting))), waiting.rank


def position_of(snapshot: Snapshot, waiting: Waiting) -> int:
    """Its place in the order in which requests would be tried if all before it were placed, from 1."""
    request = waiting.request
    before = bisect_left(snapshot.queue.of(request.tenant_id), waiting.rank, key=_rank)
    asked = with_demand(snapshot.queue.sums(request.tenant_id).first(before), waiting)
    turn = snapshot.shares.share(snapshot.tenant(request.tenant_id), asked), waiting.rank
    others = (tenant_id for tenant_id in snapshot.queue.tenants if tenant_id != request.tenant_id)
    return 1 + before + sum(_ahead(snapshot, tenant_id, turn) for tenant_id in others)


def _rank(waiting: Waiting) -> Rank:
    return waiting.rank


def _ahead(snapshot: Snapshot, tenant_id: UUID, turn: Turn) -> int:
    """How many of the tenant's requests come before that turn: those with a smaller share, and of those with the same
    share the ones with a lower rank."""
    queue, shares, tenant = snapshot.queue, snapshot.shares, snapshot.tenant(tenant_id)
    share, rank = turn
    smaller = queue.sums(tenant_id).within(shares.room(tenant, share - 1)) if share else 0
    as_small = queue.sums(tenant_id).within(shares.room(tenant, share))
    return min(max(smaller, bisect_left(queue.of(tenant_id), rank, key=_rank)), as_small)


def _turn(snapshot: Snapshot, tenant_id: UUID, number: int) -> Turn:
    """The turn of the tenant's request with this number, from 0, when all before it have been placed."""
    asked = snapshot.queue.sums(tenant_id).first(number + 1)
    return snapshot.shares.share(snapshot.tenant(tenant_id), asked), snapshot.queue.of(tenant_id)[number].rank


def in_order(snapshot: Snapshot, most: int | None = None) -> list[Waiting]:
    """What waits, each at its position (`position_of`), up to the `most` first."""
    lines = (_turns(snapshot, tenant_id) for tenant_id in snapshot.queue.tenants)
    return [waiting for _, waiting in islice(heapq.merge(*lines, key=lambda each: each[0]), most)]


def _turns(snapshot: Snapshot, tenant_id: UUID) -> Iterator[tuple[Turn, Waiting]]:
    for number, waiting in enumerate(snapshot.queue.of(tenant_id)):
        yield _turn(snapshot, tenant_id, number), waiting
