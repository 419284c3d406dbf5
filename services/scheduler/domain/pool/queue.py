"""The requests that wait, tenant by tenant; whose turn it is among the tenants is a matter of `shares`.

Within a tenant alike requests (same demand, same number of replicas) form a line. When the first of a line does not
fit, none of the line does, so a pass over the queue looks at the heads of lines only. What one deployment may be
credited with another may not (`credits`), so requests that can depend on it stand in line with their deployment's only.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from operator import attrgetter
from typing import TypeAlias
from uuid import UUID

from schemas.resources import Resources
from services.scheduler.domain.model import Waiting
from services.scheduler.domain.pool.sums import Sums

Alike: TypeAlias = tuple[Resources, int, int, bool, bool, object, UUID | None]
"""What makes two waiting requests of a tenant equally hard to place: demand, replicas, priority, whether elastic and
whether lost, length, and the deployment where that matters."""
_rank = attrgetter("rank")


def alike(waiting: Waiting) -> Alike:
    """The line that the request stands in."""
    request = waiting.request
    return (
        request.resources,
        len(waiting.replicas),
        request.priority,
        request.is_elastic,
        waiting.is_lost,
        request.expected,
        request.deployment_id if request.is_surge or waiting.is_lost else None,
    )


class Queue:
    """Sorted lines of requests; arrivals are distinct, so no two of a tenant have the same rank."""

    def __init__(self, waiting: Iterable[Waiting] = ()) -> None:
        self._by_id: dict[UUID, Waiting] = {}
        self._lines: dict[UUID, dict[Alike, list[Waiting]]] = {}
        self._ordered: dict[UUID, list[Waiting]] = {}
        """All of each tenant, by rank."""
        self._sums: dict[UUID, Sums] = {}
        """What each tenant's requests ask for, one added to the other in that order."""
        self._deadlines: list[tuple[datetime, int, UUID]] = []
        """A heap; entries of what waits no more are dropped when they come up."""
        for each in waiting:
            self.add(each)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Waiting]:
        """All of them, tenant by tenant, each tenant's by rank."""
        for tenant_id in sorted(self._ordered):
            yield from self._ordered[tenant_id]

    def __contains__(self, reservation_id: UUID) -> bool:
        return reservation_id in self._by_id

    @property
    def tenants(self) -> list[UUID]:
        """Tenants that wait for something."""
        return list(self._lines)

    def find(self, reservation_id: UUID) -> Waiting | None:
        """What waits under this id; None when nothing does."""
        return self._by_id.get(reservation_id)

    def of(self, tenant_id: UUID) -> list[Waiting]:
        """The tenant's requests by rank; not to be changed."""
        return self._ordered.get(tenant_id, [])

    def sums(self, tenant_id: UUID) -> Sums:
        """What the tenant's requests ask for together."""
        return self._sums.get(tenant_id) or Sums()

    def lines(self, tenant_id: UUID) -> dict[Alike, list[Waiting]]:
        """The tenant's lines, each by rank; not to be changed."""
        return self._lines.get(tenant_id, {})

    def add(self, waiting: Waiting) -> None:
        """Let it wait; what waited under its id before is replaced."""
        if waiting.reservation_id in self._by_id:
            self.remove(waiting.reservation_id)
        line = self._lines.setdefault(waiting.request.tenant_id, {}).setdefault(alike(waiting), [])
        insort(line, waiting, key=_rank)
        self._insert(waiting)
        self._by_id[waiting.reservation_id] = waiting
        start_by = waiting.request.start_by
        if start_by is not None and not waiting.is_lost:
            heapq.heappush(self._deadlines, (start_by, waiting.request.arrival, waiting.reservation_id))

    def remove(self, reservation_id: UUID) -> Waiting:
        """Take it out; raises `KeyError` when it does not wait."""
        waiting = self._by_id.pop(reservation_id)
        tenant_id, key = waiting.request.tenant_id, alike(waiting)
        lines, ordered = self._lines[tenant_id], self._ordered[tenant_id]
        line = lines[key]
        del line[bisect_left(line, waiting.rank, key=_rank)]
        index = bisect_left(ordered, waiting.rank, key=_rank)
        del ordered[index]
        self._sums[tenant_id].removed(index)
        if not line:
            del lines[key]
        if not lines:
            del self._lines[tenant_id], self._ordered[tenant_id], self._sums[tenant_id]
        return waiting

    def next_deadline(self) -> datetime | None:
        """When the first of them is withdrawn if it waits still, UTC; None when none has a deadline."""
        while self._deadlines and self._is_past(self._deadlines[0][2]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def overdue(self, now: datetime) -> list[Waiting]:
        """What was to start by now and waits still, the longest overdue first."""
        found: dict[UUID, Waiting] = {}
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            reservation_id = heapq.heappop(self._deadlines)[2]  # twice when a part of it was given back
            found[reservation_id] = self._by_id[reservation_id]
        return list(found.values())

    def _insert(self, waiting: Waiting) -> None:
        ordered = self._ordered.setdefault(waiting.request.tenant_id, [])
        sums = self._sums.setdefault(waiting.request.tenant_id, Sums())
        index = bisect_left(ordered, waiting.rank, key=_rank)
        ordered.insert(index, waiting)
        sums.added(index, waiting)

    def _is_past(self, reservation_id: UUID) -> bool:
        waiting = self._by_id.get(reservation_id)
        return waiting is None or waiting.is_lost
