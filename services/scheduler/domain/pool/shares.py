"""Who holds how much of a pool, and what is a fair share of it.

Dominant-resource fairness (Ghodsi et al., NSDI '11) over what goes beyond guarantees, with weights: a tenant's share is
its largest part of any resource of the pool that it holds beyond its guarantee, divided by its weight. The tenant with
the smallest share goes first, so what is nobody's guarantee is divided by weight: of 100 GPUs, with guarantees of 10
and weights of 3 and 1, two tenants that want everything get 70 and 30.

Each guaranteed GPU brings its part of the pool's CPU and memory with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from uuid import UUID

from schemas.resources import Allocation, Resources
from schemas.tenant import GpuQuota
from services.scheduler.domain.model import Reservation, Tenant
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.pool.sums import ALL, CPU, MEMORY

SCALE = 10**9
"""Shares are whole numbers of billionths: no rounding decides whose turn it is."""


_NOTHING: Counter[str] = Counter()


class Shares:
    """Holdings of the tenants in one pool."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.held: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
        """By tenant and resource: a GPU model, ALL, CPU or MEMORY."""
        self.in_use: Counter[str] = Counter()
        """The same over all tenants."""
        self._totals: Counter[str] | None = None
        self._guarantees: dict[UUID, tuple[Tenant, dict[str, int]]] = {}
        """Of tenants as they were when it was asked, as long as no node changes."""

    @property
    def totals(self) -> Counter[str]:
        """What the open nodes have, by resource."""
        if self._totals is None:
            cluster = self._cluster
            self._totals = Counter(cluster.model_milli())
            self._totals[ALL] = sum(self._totals.values())
            self._totals[CPU] = int(cluster.cpu[0, cluster.is_open].sum())
            self._totals[MEMORY] = int(cluster.memory[0, cluster.is_open].sum())
        return self._totals

    def nodes_changed(self) -> None:
        """Let the totals be counted anew."""
        self._totals = None
        self._guarantees.clear()

    def take(self, reservation: Reservation) -> None:
        """Count what the reservation holds."""
        self._count(reservation, 1)

    def give(self, reservation: Reservation) -> None:
        """Count it no more."""
        self._count(reservation, -1)

    def gpu_milli(self, tenant_id: UUID, model: str = ALL) -> int:
        """Thousandths of a GPU that the tenant holds, of one model or of all."""
        return self.held[tenant_id][model] if tenant_id in self.held else 0

    def share(self, tenant: Tenant, asked: Mapping[str, int]) -> int:
        """The tenant's share in billionths once it had so much more of each resource; 0 within its guarantees."""
        holds = self.held.get(tenant.tenant_id, _NOTHING)
        guarantees = self._guarantees_of(tenant)
        largest = 0
        for resource in asked.keys() | holds.keys():
            total = self.totals.get(resource, 0)
            beyond = holds.get(resource, 0) + asked.get(resource, 0) - guarantees.get(resource, 0)
            if beyond > 0 and total > 0:
                largest = max(largest, beyond * SCALE // (total * tenant.weight))
        return largest

    def room(self, tenant: Tenant, share: int) -> dict[str, int]:
        """The most that the tenant can have more of each resource until its share is above this one, in billionths;
        nothing can be so little when what it holds is above it already."""
        holds = self.held.get(tenant.tenant_id, _NOTHING)
        guarantees = self._guarantees_of(tenant)
        most = {}
        for resource, total in self.totals.items():
            if total > 0:
                beyond = ((share + 1) * total * tenant.weight - 1) // SCALE
                most[resource] = guarantees.get(resource, 0) + beyond - holds.get(resource, 0)
        return most if all(amount >= 0 for amount in most.values()) else dict.fromkeys(most, -1)

    def _guarantees_of(self, tenant: Tenant) -> dict[str, int]:
        """What the tenant is guaranteed of each resource."""
        known = self._guarantees.get(tenant.tenant_id)
        if known is None or known[0] is not tenant:
            resources = self.totals if tenant.quotas else ()
            known = tenant, {resource: self._guarantee(tenant, resource) for resource in resources}
            self._guarantees[tenant.tenant_id] = known
        return known[1]

    def _guarantee(self, tenant: Tenant, resource: str) -> int:
        if resource in (CPU, MEMORY):
            gpus = max(self.totals[ALL], 1)
            return self.totals[resource] * min(self._guarantee(tenant, ALL), gpus) // gpus
        quota = quota_of(tenant, resource) or quota_of(tenant, ALL)
        if quota is not None:  # what is guaranteed of all models is so of each that has no guarantee of its own
            return quota.guaranteed_milli
        return sum(each.guaranteed_milli for each in tenant.quotas) if resource == ALL else 0

    def _count(self, reservation: Reservation, sign: int) -> None:
        request = reservation.request
        holds = self.held[request.tenant_id]
        for allocation in reservation.allocations:
            model = self._cluster.nodes[self._cluster.row_of[allocation.node]].gpu_model
            for resource, amount in _taken(request.resources, allocation, model):
                holds[resource] += sign * amount
                self.in_use[resource] += sign * amount


def _taken(resources: Resources, allocation: Allocation, model: str) -> Iterator[tuple[str, int]]:
    gpu = len(allocation.devices) * allocation.gpu_milli
    if gpu:
        yield ALL, gpu
        yield model, gpu
    yield CPU, resources.cpu_milli
    yield MEMORY, resources.memory_mib


def quota_of(tenant: Tenant, model: str) -> GpuQuota | None:
    """The tenant's quota for this model (ALL: for all together); None when it has none."""
    return next((quota for quota in tenant.quotas if quota.gpu_model == model), None)
