"""Decides about one request. Pure: the snapshot is read and not changed."""

from __future__ import annotations

from schemas.placement import QueueReason
from services.scheduler.domain.decision import Decision, Placed, Queued, Rejected
from services.scheduler.domain.explain import alternatives_of, demand, explain
from services.scheduler.domain.feasibility import replicas_when_empty, right_model
from services.scheduler.domain.model import Request
from services.scheduler.domain.place import place
from services.scheduler.domain.policies.interface import Policy
from services.scheduler.domain.snapshot import Snapshot


def decide(snapshot: Snapshot, request: Request, policy: Policy) -> Decision:
    """Placed, queued or rejected, with the reason. The most specific reason wins, in the order of `QueueReason`."""
    refused = _too_large(snapshot, request) or _over_limit(snapshot, request)
    if refused is not None:
        return refused
    if not _plan_is_known(snapshot, request):
        detail = f"the plan of tenant {request.tenant_id} is not known yet; tried again when it is"
        return _queued(snapshot, request, QueueReason.QUOTA_EXCEEDED, detail)
    return try_to_place(snapshot, request, policy) or _waiting(snapshot, request)


def try_to_place(snapshot: Snapshot, request: Request, policy: Policy) -> Placed | None:
    """The placement of the request, limits apart; None when it does not fit now."""
    placement = place(snapshot.cluster, request.resources, request.replicas, policy)
    if placement is None:
        return None
    return Placed(
        allocations=placement.allocations,
        score=int(placement.first.scores[0]),
        alternatives=alternatives_of(snapshot.cluster, placement.first),
        explanation=explain(snapshot.cluster, placement, policy),
    )


def may_hold(snapshot: Snapshot, request: Request) -> bool:
    """Whether the tenant's plan is known, not suspended, and leaves room for the request."""
    return _plan_is_known(snapshot, request) and _over_limit(snapshot, request) is None


def _plan_is_known(snapshot: Snapshot, request: Request) -> bool:
    tenant = snapshot.tenants.get(request.tenant_id)
    return tenant is not None and tenant.max_gpu_milli is not None


def _too_large(snapshot: Snapshot, request: Request) -> Rejected | None:
    """Refuses what the pool could not hold even if it were empty. An empty pool refuses nothing: nodes may come."""
    if request.pool != snapshot.pool:
        detail = f"pool {request.pool!r} does not exist; ask for {snapshot.pool!r}"
        return Rejected(QueueReason.TOO_LARGE_FOR_POOL, detail)
    if snapshot.cluster.present == 0:
        return None
    need = demand(request.resources)
    if not right_model(snapshot.cluster, request.resources).any():
        wanted = " or ".join(request.resources.gpu_models) or "a GPU"
        detail = f"no node of pool {snapshot.pool!r} has {wanted}; ask for a model that it has"
        return Rejected(QueueReason.MODEL_UNAVAILABLE, detail)
    most = replicas_when_empty(snapshot.cluster, request.resources)
    if most >= request.replicas:
        return None
    detail = (
        f"asked: {request.replicas} replicas of {need} each; the whole of pool {snapshot.pool!r} could hold {most}; "
        "ask for fewer or smaller replicas, or another pool"
    )
    return Rejected(QueueReason.TOO_LARGE_FOR_POOL, detail)


def _over_limit(snapshot: Snapshot, request: Request) -> Rejected | None:
    tenant = snapshot.tenants.get(request.tenant_id)
    if tenant is None:
        return None
    limit, held, asked = tenant.max_gpu_milli, snapshot.gpu_milli_held[request.tenant_id], request.gpu_milli
    if limit is not None and asked and held + asked > limit:
        detail = (
            f"limit: {limit} milli-GPU, in use: {held}, asked: {asked}; "
            "release something, ask for less, or change the plan"
        )
        return Rejected(QueueReason.QUOTA_EXCEEDED, detail)
    if tenant.is_suspended:
        return Rejected(QueueReason.TENANT_SUSPENDED, "the tenant is suspended; resume it and ask again")
    return None


def _waiting(snapshot: Snapshot, request: Request) -> Queued:
    """Why it does not fit now: fragmented when the sums would do, otherwise what is short."""
    cluster, resources, replicas = snapshot.cluster, request.resources, request.replicas
    if cluster.present == 0:
        detail = f"pool {snapshot.pool!r} has no nodes yet"
        return _queued(snapshot, request, QueueReason.NO_FREE_CAPACITY, detail)
    rows = right_model(cluster, resources)
    sums = (
        ("milli-GPU", request.gpu_milli, int(cluster.gpu_free[rows].sum())),
        ("milli-CPU", replicas * resources.cpu_milli, int(cluster.cpu_free[rows].sum())),
        ("MiB", replicas * resources.memory_mib, int(cluster.memory_free[rows].sum())),
    )
    short = [f"{asked} {unit} asked, {free} free" for unit, asked, free in sums if asked > free]
    if short:
        return _queued(snapshot, request, QueueReason.NO_FREE_CAPACITY, "; ".join(short))
    free = ", ".join(f"{free} {unit}" for unit, _, free in sums)
    detail = f"{free} are free in sum, but not {replicas} x ({demand(resources)}) on single nodes"
    return _queued(snapshot, request, QueueReason.FRAGMENTED, detail)


def _queued(snapshot: Snapshot, request: Request, reason: QueueReason, detail: str) -> Queued:
    return Queued(snapshot.queue.position_for(request), reason, detail)
