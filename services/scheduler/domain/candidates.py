"""Who may be asked to drain for a waiting request, and why: one replica at a time, a gang whole.

In this order: replicas beyond an elastic minimum, for anything of at least their priority that is not itself beyond
one; preemptible replicas, for a higher priority; what a tenant holds beyond its guarantee, for one that is within its
own. Within these: lower priority, not the last replica of its reservation, less GPU, younger first.

A deployment is never asked twice at a time, nor for a request of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from schemas.placement import PreemptionReason
from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Request, Reservation, Waiting
from services.scheduler.domain.shares import ALL, quota_of
from services.scheduler.domain.snapshot import Snapshot

ORDER = (PreemptionReason.SHRINK, PreemptionReason.PRIORITY, PreemptionReason.RECLAIM)
"""What is taken first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One replica that may be asked to drain."""

    reservation: Reservation
    replica: int
    allocations: tuple[Allocation, ...]
    """Its pods' places."""
    reason: PreemptionReason
    cost: tuple[int, int, bool, int, float, UUID, int]
    """Lower goes first; see the module."""

    @property
    def resources(self) -> Resources:
        """Demand of each of its pods."""
        return self.reservation.request.resources

    @property
    def tenant_id(self) -> UUID:
        """Whose it is."""
        return self.reservation.request.tenant_id

    @property
    def gpu_milli(self) -> int:
        """Thousandths of a GPU that it holds."""
        return self.resources.total_gpu_milli


def candidates_for(snapshot: Snapshot, waiting: Waiting) -> list[Candidate]:
    """All that may be drained for it, the cheapest first."""
    request = waiting.request
    if request.is_elastic:
        return []
    reclaims = _is_within_guarantee(snapshot, waiting)
    found: list[Candidate] = []
    for held in (snapshot.reservations if reclaims else snapshot.drainable).values():
        reason = _reason(snapshot, request, held.request, reclaims=reclaims)
        if reason is not None:
            found += _replicas(snapshot, held, reason)
    return sorted(found, key=lambda each: each.cost)


def _reason(snapshot: Snapshot, request: Request, held: Request, *, reclaims: bool) -> PreemptionReason | None:
    if held.deployment_id == request.deployment_id:
        return None
    if held.is_elastic and held.priority <= request.priority:
        return PreemptionReason.SHRINK
    if held.preemptible and held.priority < request.priority:
        return PreemptionReason.PRIORITY
    if reclaims and held.tenant_id != request.tenant_id:
        beyond = snapshot.shares.beyond_guarantee(snapshot.tenant(held.tenant_id))
        return PreemptionReason.RECLAIM if beyond > 0 else None
    return None


def _is_within_guarantee(snapshot: Snapshot, waiting: Waiting) -> bool:
    """Whether the tenant would hold no more than it is guaranteed, of all models or of one that will do."""
    tenant = snapshot.tenant(waiting.request.tenant_id)
    models = (ALL, *waiting.request.resources.gpu_models)
    quotas = [quota for model in models if (quota := quota_of(tenant, model)) is not None]
    return waiting.gpu_milli > 0 and any(
        snapshot.shares.gpu_milli(tenant.tenant_id, quota.gpu_model) + waiting.gpu_milli <= quota.guaranteed_milli
        for quota in quotas
    )


def _replicas(snapshot: Snapshot, held: Reservation, reason: PreemptionReason) -> Iterator[Candidate]:
    draining = snapshot.draining(held.request.reservation_id)
    replicas = [replica for replica in held.replicas if replica not in draining]
    request = held.request
    for replica in replicas:
        is_last = replica == replicas[0]
        yield Candidate(
            held,
            replica,
            held.part((replica,)).allocations,
            reason,
            (
                ORDER.index(reason),
                request.priority,
                is_last,
                request.resources.total_gpu_milli,
                -held.since.timestamp(),
                request.reservation_id,
                -replica,
            ),
        )
