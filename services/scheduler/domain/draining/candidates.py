"""Who may be asked to drain for a waiting request, and why: one replica at a time, a gang whole.

In this order: replicas beyond an elastic minimum, for anything of at least their priority that is not itself beyond
one; preemptible replicas, for a higher priority; what a tenant holds beyond its guarantees, for one that is within its
own. Within these: lower priority, not the last replica of its reservation, less GPU, younger first.

Whatever the priority, nothing goes of what another tenant is guaranteed: it would reclaim that at once, and the two
would take it from each other for ever. A replica is never asked twice at a time, nor for a request of its own
deployment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from schemas.placement import PreemptionReason
from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Request, Reservation, Waiting
from services.scheduler.domain.placing.could_go import keys_for
from services.scheduler.domain.pool.claims import draining, pending_milli
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.pool.sums import ALL

ORDER = (PreemptionReason.SHRINK, PreemptionReason.PRIORITY, PreemptionReason.RECLAIM)
"""What is taken first."""


Cost: TypeAlias = tuple[int, int, bool, int, float, int, int]
"""Tier, priority, whether it is the last, thousandths of a GPU, start (younger is lower), identity, replica."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One replica that may be asked to drain."""

    reservation: Reservation
    replica: int
    allocations: tuple[Allocation, ...]
    """Its pods' places."""
    reason: PreemptionReason
    tier: int
    """Place of the reason in the order."""
    gpu_milli: int
    """Thousandths of a GPU that it holds."""
    is_last: bool
    """Whether it is the replica of its reservation that is to stay longest."""
    is_guarded: bool
    """Whether it may go only as far as its tenant's guarantees are left."""
    model: str
    """GPU model of the first of its nodes; empty without GPU."""
    cost: Cost
    """Lower goes first; see the module."""

    @property
    def resources(self) -> Resources:
        """Demand of each of its pods."""
        return self.reservation.request.resources

    @property
    def tenant_id(self) -> UUID:
        """Whose it is."""
        return self.reservation.request.tenant_id


def candidates_for(snapshot: Snapshot, waiting: Waiting) -> list[Candidate]:
    """All that may be drained for it, the cheapest first."""
    request = waiting.request
    if request.is_elastic:
        return []
    reclaimable = guaranteed_models(snapshot, waiting)
    asked = draining(snapshot)
    found: list[Candidate] = []
    for held in snapshot.reservations.values() if reclaimable else _drainable(snapshot, request.priority):
        reason = _reason(request, held.request, is_reclaim=bool(reclaimable))
        if reason is not None:
            before = asked.get(held.request.reservation_id, set())
            each_of = replicas_of(snapshot, held, reason, before, request.tenant_id)
            is_free = reason is not PreemptionReason.RECLAIM
            found += [each for each in each_of if is_free or reclaimable & {ALL, each.model}]
    return sorted(found, key=lambda each: each.cost)


def _drainable(snapshot: Snapshot, priority: int) -> Iterator[Reservation]:
    """What may be drained for this priority, as far as it gives nothing back to a guarantee."""
    for key in keys_for(priority, snapshot.drainable):
        yield from snapshot.drainable[key].values()


def _reason(request: Request, held: Request, *, is_reclaim: bool) -> PreemptionReason | None:
    if held.deployment_id == request.deployment_id:
        return None
    if held.is_elastic and held.priority <= request.priority:
        return PreemptionReason.SHRINK
    if held.preemptible and held.priority < request.priority:
        return PreemptionReason.PRIORITY
    if is_reclaim and held.tenant_id != request.tenant_id and held.resources.gpu_count:
        return PreemptionReason.RECLAIM
    return None


def guaranteed_models(snapshot: Snapshot, waiting: Waiting) -> set[str]:
    """Models (`ALL`: any) of which the tenant would hold no more than it is guaranteed, with what is being drained for
    it already; empty when it would."""
    request = waiting.request
    asked = waiting.gpu_milli + pending_milli(snapshot, request.tenant_id, request.reservation_id)
    tenant, shares = snapshot.tenant(request.tenant_id), snapshot.shares
    return {
        quota.gpu_model
        for quota in tenant.quotas
        if waiting.gpu_milli > 0
        and (
            quota.gpu_model == ALL
            or not request.resources.gpu_models
            or quota.gpu_model in request.resources.gpu_models
        )
        and shares.gpu_milli(tenant.tenant_id, quota.gpu_model) + asked <= quota.guaranteed_milli
    }


def replicas_of(
    snapshot: Snapshot, held: Reservation, reason: PreemptionReason, asked: set[int], claimant: UUID
) -> Iterator[Candidate]:
    """Its replicas that were not asked yet, as candidates for a request of that tenant."""
    pods: defaultdict[int, list[Allocation]] = defaultdict(list)
    for allocation in held.allocations:
        pods[allocation.replica].append(allocation)
    replicas = sorted(replica for replica in pods if replica not in asked)
    request, cluster = held.request, snapshot.cluster
    tier, gpu_milli, age = ORDER.index(reason), request.resources.total_gpu_milli, -held.since.timestamp()
    identity = request.reservation_id.int
    is_guarded = request.tenant_id != claimant and request.tenant_id in snapshot.quotas.tenants
    for replica in replicas:
        is_last = replica == replicas[0]
        model = cluster.nodes[cluster.row_of[pods[replica][0].node]].gpu_model if gpu_milli else ""
        cost = (tier, request.priority, is_last, gpu_milli, age, identity, -replica)
        yield Candidate(held, replica, tuple(pods[replica]), reason, tier, gpu_milli, is_last, is_guarded, model, cost)
