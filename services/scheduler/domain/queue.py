"""The requests that wait, in the order in which they are tried: priority first, then arrival."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from uuid import UUID

from services.scheduler.domain.model import Request

Rank = tuple[int, int]


def _rank(request: Request) -> Rank:
    return -request.priority, request.arrival


class Queue:
    """A sorted list of requests; arrivals are distinct, so no two have the same rank."""

    def __init__(self, requests: Iterable[Request] = ()) -> None:
        self._ordered = sorted(requests, key=_rank)
        self._by_id = {request.reservation_id: request for request in self._ordered}

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._ordered)

    def __contains__(self, reservation_id: UUID) -> bool:
        return reservation_id in self._by_id

    def find(self, reservation_id: UUID) -> Request | None:
        """The waiting request; None when it does not wait."""
        return self._by_id.get(reservation_id)

    def position_for(self, request: Request) -> int:
        """The place that the request has or would have, from 1."""
        return bisect_left(self._ordered, _rank(request), key=_rank) + 1

    def add(self, request: Request) -> None:
        """Let the request wait."""
        insort(self._ordered, request, key=_rank)
        self._by_id[request.reservation_id] = request

    def remove(self, reservation_id: UUID) -> Request:
        """Take a request out; raises `KeyError` when it does not wait."""
        request = self._by_id.pop(reservation_id)
        del self._ordered[self.position_for(request) - 1]
        return request
