"""What a tenant may hold: the limit of its plan, its guarantees, what it may borrow and what others withhold.

A rollout's surge may go over the limit of the plan on credit (`credits`). Quotas by model are looked at node by node,
because a request that takes any model can go where the tenant still has a share.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import numpy as np

from schemas.placement import QueueReason
from schemas.resources import Topology
from schemas.tenant import PLATFORM_TENANT
from services.scheduler.domain.model import Request, Tenant, Waiting
from services.scheduler.domain.nodes.cluster import Cluster, Flags
from services.scheduler.domain.placing.feasibility import right_model
from services.scheduler.domain.pool.shares import quota_of
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.pool.sums import ALL


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a tenant may not hold more."""

    reason: QueueReason
    detail: str
    """In words, with numbers and what to do."""


def may_start(snapshot: Snapshot, waiting: Waiting, beside: int = 0) -> Flags | Refusal | None:
    """The nodes on which its tenant may have what waits, None for all; or why the tenant may not. `beside`: thousandths
    of a GPU that the tenant is to get before."""
    gpu_milli = waiting.gpu_milli + beside if waiting.gpu_milli else 0
    refused = refusal(snapshot, waiting.request, gpu_milli)
    return refused or beside_the_rest(snapshot, waiting, within_quotas(snapshot, waiting.request, gpu_milli))


def beside_the_rest(snapshot: Snapshot, waiting: Waiting, allowed: Flags | Refusal | None) -> Flags | Refusal | None:
    """Of what is allowed the nodes in the zone where its other replicas are, if they must be in one."""
    held = snapshot.reservations.get(waiting.reservation_id)
    if held is None or isinstance(allowed, Refusal) or waiting.request.resources.topology is not Topology.SAME_ZONE:
        return allowed
    zone = snapshot.cluster.zone
    here = zone == zone[snapshot.cluster.row_of[held.allocations[0].node]]
    return np.asarray(here if allowed is None else here & allowed, np.bool_)


def refusal(snapshot: Snapshot, request: Request, gpu_milli: int) -> Refusal | None:
    """Why the tenant may not hold `gpu_milli` more for the request now, quotas by model apart; None when it may."""
    if request.tenant_id == PLATFORM_TENANT:  # an operator asks what would be
        return None
    tenant = snapshot.tenant(request.tenant_id)
    if tenant.is_suspended:
        return Refusal(QueueReason.TENANT_SUSPENDED, "the tenant is suspended; resume it and ask again")
    if tenant.max_gpu_milli is None:
        detail = f"the plan of tenant {request.tenant_id} is not known yet; tried again when it is"
        return Refusal(QueueReason.QUOTA_EXCEEDED, detail)
    limit, held = tenant.max_gpu_milli, snapshot.shares.gpu_milli(request.tenant_id)
    if gpu_milli == 0 or held + gpu_milli <= limit:
        return None
    credit = snapshot.credits.after(request, gpu_milli)
    if held + gpu_milli - credit <= limit:
        return None
    more = f", of the sum on a rollout's credit: {credit}" if credit else ""
    detail = (
        f"limit: {limit} milli-GPU, in use: {held}, asked: {gpu_milli}{more}; "
        "release something, ask for less, or change the plan"
    )
    return Refusal(QueueReason.QUOTA_EXCEEDED, detail)


def too_many_wait(snapshot: Snapshot, tenant_id: UUID) -> Refusal | None:
    """Why the tenant may let no more wait in the pool; None when it may. As long as its plan is not known, the default
    of all plans holds."""
    if tenant_id == PLATFORM_TENANT:
        return None
    waiting, most = len(snapshot.queue.of(tenant_id)), snapshot.tenant(tenant_id).max_waiting
    if waiting < most:
        return None
    detail = (
        f"it would have to wait, and {waiting} requests of the tenant wait in pool {snapshot.pool!r} already, "
        f"max_waiting_requests: {most}; release some, or ask for a larger plan"
    )
    return Refusal(QueueReason.QUOTA_EXCEEDED, detail)


def within_quotas(snapshot: Snapshot, request: Request, gpu_milli: int) -> Flags | Refusal | None:
    """The nodes on which the tenant's quotas, and others' guarantees, leave room for `gpu_milli` more.

    None when they leave it on all nodes; a refusal when they leave it on none that would do.
    """
    if gpu_milli == 0 or request.tenant_id == PLATFORM_TENANT:
        return None
    if request.tenant_id not in snapshot.quotas.tenants and not snapshot.quotas.lenders:
        return None
    tenant = snapshot.tenant(request.tenant_id)
    refused = _refused(snapshot, tenant, ALL, gpu_milli)
    if refused is not None:
        return refused
    if not snapshot.quotas.models:
        return None
    cluster = snapshot.cluster
    candidates = right_model(cluster, request.resources)
    refusals: list[Refusal] = []
    allowed = candidates
    for model in sorted(snapshot.quotas.models):
        rows = candidates & np.isin(cluster.model, cluster.model_codes([model]))
        refused = _refused(snapshot, tenant, model, gpu_milli) if rows.any() else None
        if refused is not None:
            refusals.append(refused)
            allowed = allowed & ~rows
    if refusals and not allowed.any():
        return min(refusals, key=lambda each: (PRECEDENCE.index(each.reason), each.detail))
    return allowed if refusals else None


PRECEDENCE = tuple(QueueReason)
"""Where several reasons hold the first is told."""


def _refused(snapshot: Snapshot, tenant: Tenant, model: str, gpu_milli: int) -> Refusal | None:
    held = snapshot.shares.gpu_milli(tenant.tenant_id, model)
    quota = quota_of(tenant, model)
    guaranteed = quota.guaranteed_milli if quota else 0
    name = model or "all models"
    if quota is not None and quota.borrowing_limit_milli is not None:
        most = guaranteed + quota.borrowing_limit_milli
        if held + gpu_milli > most:
            detail = (
                f"{name}: guaranteed {guaranteed} milli-GPU and {quota.borrowing_limit_milli} to borrow, "
                f"in use: {held}, asked: {gpu_milli}; release something, or change the plan"
            )
            return Refusal(QueueReason.BORROWING_LIMIT, detail)
    if model == ALL and quota is None:
        guaranteed = sum(each.guaranteed_milli for each in tenant.quotas)
    borrows = held + gpu_milli - guaranteed
    withheld = _withheld(snapshot, tenant.tenant_id, model) if borrows > 0 else 0
    if not withheld:
        return None
    free = snapshot.shares.totals[model] - _taken(snapshot.cluster, model)
    if free - gpu_milli >= withheld:
        return None
    detail = f"{name}: {free} milli-GPU are free, of which {withheld} are guaranteed to others who do not lend them"
    return Refusal(QueueReason.RESERVED_FOR_OTHER, detail)


def _withheld(snapshot: Snapshot, tenant_id: UUID, model: str) -> int:
    """Thousandths of the model that other tenants are guaranteed, do not use, and do not lend."""
    total = 0
    for other in snapshot.quotas.lenders.values():
        quota = quota_of(other, model)
        if other.tenant_id == tenant_id or quota is None or quota.lending_limit_milli is None:
            continue
        unused = quota.guaranteed_milli - snapshot.shares.gpu_milli(other.tenant_id, model)
        total += max(0, unused - quota.lending_limit_milli)
    return total


def _taken(cluster: Cluster, model: str) -> int:
    """Thousandths of the model's GPUs that are in use on open nodes: what is on others is not in the totals either."""
    rows = cluster.is_open if model == ALL else cluster.is_open & np.isin(cluster.model, cluster.model_codes([model]))
    return int(cluster.device_taken[rows].sum())
