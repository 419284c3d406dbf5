"""What a tenant may hold: the limit of its plan, its guarantees, what it may borrow and what others withhold.

A rollout's surge may go over the limit of the plan by as much as the deployment's other revisions hold: a credit that
ends with them, because they are released when the rollout does (or the surge is, when it fails). Quotas by model are
looked at node by node, because a request that takes any model can go where the tenant still has a share.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import numpy as np

from schemas.placement import QueueReason
from schemas.tenant import PLATFORM_TENANT
from services.scheduler.domain.cluster import Flags
from services.scheduler.domain.feasibility import right_model
from services.scheduler.domain.model import Request, Tenant
from services.scheduler.domain.shares import ALL, quota_of
from services.scheduler.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a tenant may not hold more."""

    reason: QueueReason
    detail: str
    """In words, with numbers and what to do."""


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
    credit = credit_limit(snapshot, request)
    if gpu_milli == 0 or held + gpu_milli <= limit + credit:
        return None
    more = f", and a rollout's credit of {credit}" if credit else ""
    detail = (
        f"limit: {limit} milli-GPU{more}, in use: {held}, asked: {gpu_milli}; "
        "release something, ask for less, or change the plan"
    )
    return Refusal(QueueReason.QUOTA_EXCEEDED, detail)


def credit_limit(snapshot: Snapshot, request: Request) -> int:
    """Thousandths of a GPU that the request may go over the limit by: what the revisions that it replaces hold."""
    if not request.is_surge:
        return 0
    held = (snapshot.reservations[each] for each in snapshot.of_deployment.get(request.deployment_id, ()))
    return sum(each.gpu_milli for each in held if each.request.revision != request.revision)


def within_quotas(snapshot: Snapshot, request: Request, gpu_milli: int) -> Flags | Refusal | None:
    """The nodes on which the tenant's quotas, and others' guarantees, leave room for `gpu_milli` more.

    None when they leave it on all nodes; a refusal when they leave it on none that would do.
    """
    if gpu_milli == 0 or not any(tenant.quotas for tenant in snapshot.tenants.values()):
        return None
    tenant = snapshot.tenant(request.tenant_id)
    refused = _refused(snapshot, tenant, ALL, gpu_milli)
    if refused is not None:
        return refused
    cluster = snapshot.cluster
    candidates = right_model(cluster, request.resources)
    first: Refusal | None = None
    allowed = candidates.copy()
    for model in sorted({cluster.nodes[row].gpu_model for row in np.flatnonzero(candidates)}):
        refused = _refused(snapshot, tenant, model, gpu_milli)
        if refused is not None:
            first = first or refused
            allowed &= ~np.isin(cluster.model, cluster.model_codes([model]))
    return first if first is not None and not allowed.any() else allowed


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
    borrows = held + gpu_milli - guaranteed
    withheld = _withheld(snapshot, tenant.tenant_id, model)
    free = snapshot.shares.totals[model] - snapshot.shares.in_use[model]
    if borrows <= 0 or not withheld or free - gpu_milli >= withheld:
        return None
    detail = f"{name}: {free} milli-GPU are free, of which {withheld} are guaranteed to others who do not lend them"
    return Refusal(QueueReason.RESERVED_FOR_OTHER, detail)


def _withheld(snapshot: Snapshot, tenant_id: UUID, model: str) -> int:
    """Thousandths of the model that other tenants are guaranteed, do not use, and do not lend."""
    total = 0
    for other in snapshot.tenants.values():
        quota = quota_of(other, model)
        if other.tenant_id == tenant_id or quota is None or quota.lending_limit_milli is None:
            continue
        unused = quota.guaranteed_milli - snapshot.shares.gpu_milli(other.tenant_id, model)
        total += max(0, unused - quota.lending_limit_milli)
    return total
