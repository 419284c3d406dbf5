"""Why a request is refused, or waits: one enumerated reason, the first that holds in the order of `QueueReason`."""

from __future__ import annotations

from schemas.placement import QueueReason
from schemas.resources import Resources
from services.scheduler.domain.claims import lifted
from services.scheduler.domain.cluster import Flags
from services.scheduler.domain.decision import Rejected
from services.scheduler.domain.explain import demand
from services.scheduler.domain.feasibility import pods_now, pods_when_empty, right_model
from services.scheduler.domain.limits import Refusal, refusal, within_quotas
from services.scheduler.domain.model import Request, Waiting
from services.scheduler.domain.place import place
from services.scheduler.domain.snapshot import Snapshot

MOST_DEMANDS = 10_000
"""Demands of which it is remembered how many pods would fit."""
Why = tuple[QueueReason, str]
"""A reason, and the same in words with numbers."""


def never(snapshot: Snapshot, request: Request) -> Rejected | None:
    """Refuses what the pool could not hold even if it were empty. An empty pool refuses nothing: nodes may come."""
    if request.pool != snapshot.pool:
        detail = f"pool {request.pool!r} does not exist; ask for {snapshot.pool!r}"
        return Rejected(QueueReason.TOO_LARGE_FOR_POOL, detail)
    cluster, resources = snapshot.cluster, request.resources
    if cluster.present == 0:
        return None
    most = _most(snapshot, resources)
    if most == 0 and not right_model(cluster, resources).any():
        wanted = " or ".join(resources.gpu_models) or "a GPU"
        if resources.mig_profile:
            wanted = f"GPUs that can be cut to {resources.mig_profile}"
        detail = f"no node of pool {snapshot.pool!r} has {wanted}; ask for what it has"
        return Rejected(QueueReason.MODEL_UNAVAILABLE, detail)
    pods = request.replicas * resources.workers
    if most >= pods:
        return None
    gang = f" with {resources.workers} workers" if resources.workers > 1 else ""
    detail = (
        f"asked: {request.replicas} replicas{gang} of {demand(resources)} each; the whole of pool {snapshot.pool!r} "
        f"could hold {most // resources.workers}; ask for fewer or smaller replicas, or another pool"
    )
    return Rejected(QueueReason.TOO_LARGE_FOR_POOL, detail)


def _most(snapshot: Snapshot, resources: Resources) -> int:
    """Pods that the pool could hold if it were empty; remembered, because few demands come often."""
    known = snapshot.pods_when_empty
    if resources not in known:
        if len(known) >= MOST_DEMANDS:
            known.clear()
        known[resources] = pods_when_empty(snapshot.cluster, resources, right_model(snapshot.cluster, resources))
    return known[resources]


def over_limit(snapshot: Snapshot, request: Request) -> Rejected | None:
    """Refuses a new request that its tenant's plan leaves no room for; None while the plan is not known."""
    refused = refusal(snapshot, request, request.gpu_milli)
    if refused is None or (snapshot.tenant(request.tenant_id).max_gpu_milli is None and not _is_suspended(refused)):
        return None
    return Rejected(refused.reason, refused.detail)


def _is_suspended(refused: Refusal) -> bool:
    return refused.reason is QueueReason.TENANT_SUSPENDED


def why(snapshot: Snapshot, waiting: Waiting) -> Why:
    """Why it does not start now."""
    request = waiting.request
    refused = refusal(snapshot, request, waiting.gpu_milli)
    if refused is not None:
        return refused.reason, refused.detail
    allowed = within_quotas(snapshot, request, waiting.gpu_milli)
    if isinstance(allowed, Refusal):
        return allowed.reason, allowed.detail
    claim = snapshot.claims.get(waiting.reservation_id)
    if claim is not None and claim.victims:
        replicas = sum(len(victim.replicas) for victim in claim.victims)
        detail = f"{replicas} replicas of {len(claim.victims)} reservations are being drained to make room"
        return QueueReason.WAITING_FOR_PREEMPTION, detail
    return _short(snapshot, waiting, allowed)


def _short(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> Why:
    """What is short: what is kept for others, whole nodes, or the sums."""
    cluster, resources = snapshot.cluster, waiting.request.resources
    if cluster.present == 0:
        return QueueReason.NO_FREE_CAPACITY, f"pool {snapshot.pool!r} has no nodes yet"
    rows = right_model(cluster, resources) & (True if allowed is None else allowed)
    if _is_kept_for_others(snapshot, waiting, allowed):
        return QueueReason.RESERVED_FOR_OTHER, "it would fit on what is kept for requests that go before it"
    pods = len(waiting.replicas) * resources.workers
    sums = (
        ("milli-GPU", waiting.gpu_milli, int(cluster.gpu_free[rows].clip(min=0).sum())),
        ("milli-CPU", pods * resources.cpu_milli, int(cluster.cpu_free[rows].clip(min=0).sum())),
        ("MiB", pods * resources.memory_mib, int(cluster.memory_free[rows].clip(min=0).sum())),
    )
    short = [f"{asked} {unit} asked, {free} free" for unit, asked, free in sums if asked > free]
    if short and not resources.mig_profile:
        return QueueReason.NO_FREE_CAPACITY, "; ".join(short)
    free = ", ".join(f"{free} {unit}" for unit, _, free in sums)
    fit = pods_now(cluster, resources, rows)
    some = f"; {fit} of {pods} pods would fit" if fit < pods else ""
    detail = f"{free} are free in sum, but not {pods} x ({demand(resources)}) on single nodes{some}"
    return QueueReason.FRAGMENTED, detail


def _is_kept_for_others(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> bool:
    """Whether it would fit if nothing were kept for others."""
    if not any(claimant != waiting.reservation_id for claimant in snapshot.claims):
        return False
    with lifted(snapshot, snapshot.claims.values()):
        return (
            place(snapshot.cluster, snapshot.chooser, waiting.request.resources, waiting.replicas, allowed) is not None
        )
