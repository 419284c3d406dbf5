"""What tenants hold on credit: the surge of a rollout counts only as far as it is larger than what it will replace.

A surge is credited with as much as the largest of the deployment's older revisions holds, so a tenant at its limit can
roll out by surge, and several rollouts at once are each bounded by their own revisions. The credit needs no end of its
own: it is gone when the older revision is released, or the surge is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias
from uuid import UUID

from services.scheduler.domain.model import Request, Reservation

Revisions: TypeAlias = dict[int, tuple[int, int]]
"""By revision: thousandths of a GPU that it holds, and how many of them as a surge."""


class Credits:
    """The credits in one pool."""

    def __init__(self) -> None:
        self._revisions: dict[tuple[UUID, UUID], Revisions] = {}
        """By tenant and deployment."""
        self._of_tenant: Counter[UUID] = Counter()

    def take(self, reservation: Reservation) -> None:
        """Count what the reservation holds."""
        self._count(reservation.request, reservation.gpu_milli)

    def give(self, reservation: Reservation) -> None:
        """Count it no more."""
        self._count(reservation.request, -reservation.gpu_milli)

    def after(self, request: Request, gpu_milli: int) -> int:
        """Thousandths of a GPU that the tenant would hold on credit, had the request so much more."""
        revisions = self._revisions.get((request.tenant_id, request.deployment_id), {})
        return self._of_tenant[request.tenant_id] - _credit(revisions) + _credit(_with(revisions, request, gpu_milli))

    def _count(self, request: Request, gpu_milli: int) -> None:
        key = request.tenant_id, request.deployment_id
        before = self._revisions.get(key, {})
        after = _with(before, request, gpu_milli)
        self._of_tenant[request.tenant_id] += _credit(after) - _credit(before)
        if after:
            self._revisions[key] = after
        else:
            self._revisions.pop(key, None)


def _with(revisions: Revisions, request: Request, gpu_milli: int) -> Revisions:
    held, surge = revisions.get(request.revision, (0, 0))
    changed = {**revisions, request.revision: (held + gpu_milli, surge + gpu_milli * request.is_surge)}
    if changed[request.revision] == (0, 0):
        del changed[request.revision]
    return changed


def _credit(revisions: Mapping[int, tuple[int, int]]) -> int:
    credit = largest = 0
    for revision in sorted(revisions):
        held, surge = revisions[revision]
        credit += min(surge, largest)
        largest = max(largest, held)
    return credit
