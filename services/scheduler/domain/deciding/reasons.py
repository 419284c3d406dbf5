"""Why a request is refused, or waits: one enumerated reason, the first that holds in the order of `QueueReason`."""

from __future__ import annotations

import numpy as np

from schemas.mig import KIND_OF_MODEL, MEMORY_SLICES, profile_of
from schemas.placement import QueueReason
from schemas.resources import WHOLE_GPU_MILLI, Resources
from services.scheduler.domain.deciding.explain import demand
from services.scheduler.domain.decision import Rejected
from services.scheduler.domain.model import Request, Waiting
from services.scheduler.domain.nodes.cluster import Cluster, Flags
from services.scheduler.domain.placing.feasibility import pods_now, pods_when_empty, right_model
from services.scheduler.domain.placing.place import place
from services.scheduler.domain.pool.claims import lifted
from services.scheduler.domain.pool.limits import Refusal, may_start, refusal
from services.scheduler.domain.pool.snapshot import Snapshot

MOST_DEMANDS = 10_000
"""Demands of which it is remembered how many pods would fit."""
Why = tuple[QueueReason, str]
"""A reason, and the same in words with numbers."""


def never(snapshot: Snapshot, request: Request) -> Rejected | None:
    """Refuses what the pool could not hold even if it were empty. An empty pool refuses nothing: nodes may come."""
    if request.pool != snapshot.pool:
        detail = f"pool {request.pool!r} does not exist; ask for {snapshot.pool!r}"
        return Rejected(QueueReason.TOO_LARGE_FOR_POOL, detail)
    cluster = snapshot.cluster
    pods = request.replicas * request.resources.workers
    if cluster.present == 0 or _most(snapshot, request.resources) >= pods:
        return None
    there = np.array([node.is_present for node in cluster.nodes], np.bool_)
    rows = right_model(cluster, request.resources, there)  # a node that is cordoned will be open again
    is_possible = rows.any() and pods_when_empty(cluster, request.resources, rows) >= pods
    return None if is_possible else _impossible(snapshot, request, rows)


def _most(snapshot: Snapshot, resources: Resources) -> int:
    """Pods that the open nodes could hold if they were empty; remembered until a node changes."""
    known = snapshot.pods_when_empty
    if resources not in known:
        if len(known) >= MOST_DEMANDS:
            known.clear()
        known[resources] = pods_when_empty(snapshot.cluster, resources, right_model(snapshot.cluster, resources))
    return known[resources]


def _impossible(snapshot: Snapshot, request: Request, rows: Flags) -> Rejected:
    resources = request.resources
    if not rows.any():
        wanted = " or ".join(resources.gpu_models) or "a GPU"
        if resources.mig_profile:
            wanted = f"GPUs that can be cut to {resources.mig_profile}"
        detail = f"no node of pool {snapshot.pool!r} has {wanted}; ask for what it has"
        return Rejected(QueueReason.MODEL_UNAVAILABLE, detail)
    most = pods_when_empty(snapshot.cluster, resources, rows)
    gang = f" with {resources.workers} workers" if resources.workers > 1 else ""
    detail = (
        f"asked: {request.replicas} replicas{gang} of {demand(resources)} each; the whole of pool {snapshot.pool!r} "
        f"could hold {most // resources.workers}; ask for fewer or smaller replicas, or another pool"
    )
    return Rejected(QueueReason.TOO_LARGE_FOR_POOL, detail)


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
    impossible = never(snapshot, request)
    if impossible is not None:  # nodes went while it waited
        return impossible.reason, impossible.detail
    allowed = may_start(snapshot, waiting)
    if isinstance(allowed, Refusal) and allowed.reason is not QueueReason.RESERVED_FOR_OTHER:
        return allowed.reason, allowed.detail
    claim = snapshot.claims.get(waiting.reservation_id)
    if claim is not None and claim.victims:
        replicas = sum(len(victim.replicas) for victim in claim.victims)
        detail = f"{replicas} replicas of {len(claim.victims)} reservations are being drained to make room"
        return QueueReason.WAITING_FOR_PREEMPTION, detail
    if isinstance(allowed, Refusal):
        return allowed.reason, allowed.detail
    if snapshot.cluster.present == 0:
        return QueueReason.NO_FREE_CAPACITY, f"pool {snapshot.pool!r} has no open nodes"
    if is_kept_for_others(snapshot, waiting, allowed):
        return QueueReason.RESERVED_FOR_OTHER, "it would fit on what is kept for requests that go before it"
    return _short(snapshot, waiting, allowed)


def _short(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> Why:
    """What is short: the sums, or whole nodes."""
    cluster, resources = snapshot.cluster, waiting.request.resources
    rows = right_model(cluster, resources) & (True if allowed is None else allowed)
    pods = len(waiting.replicas) * resources.workers
    sums = (
        _gpu(cluster, waiting, rows),
        ("milli-CPU", pods * resources.cpu_milli, int(cluster.cpu_free[rows].clip(min=0).sum())),
        ("MiB", pods * resources.memory_mib, int(cluster.memory_free[rows].clip(min=0).sum())),
    )
    short = [f"{asked} {unit} asked, {free} free" for unit, asked, free in sums if asked > free]
    if short:
        return QueueReason.NO_FREE_CAPACITY, "; ".join(short)
    free = ", ".join(f"{free} {unit}" for unit, _, free in sums)
    fit = pods_now(cluster, resources, rows)
    some = f"; {fit} of {pods} pods would fit" if fit < pods else ""
    detail = f"{free} are free in sum, but not {pods} x ({demand(resources)}) on single nodes{some}"
    return QueueReason.FRAGMENTED, detail


def _gpu(cluster: Cluster, waiting: Waiting, rows: Flags) -> tuple[str, int, int]:
    """Unit, what is asked and what is free of GPUs in sum; of slices the memory that they need, on cut and on idle
    devices."""
    resources = waiting.request.resources
    if not resources.mig_profile:
        return "milli-GPU", waiting.gpu_milli, int(cluster.gpu_free[rows].clip(min=0).sum())
    profile = next(found for model in KIND_OF_MODEL if (found := profile_of(model, resources.mig_profile)))
    occupied = (cluster.device_slices | cluster.slices_held)[rows]
    free = cluster.device_free[rows]
    usable = (free == WHOLE_GPU_MILLI) | ((free == 0) & (occupied != 0))
    slices = np.where(usable, MEMORY_SLICES - np.bitwise_count(occupied), 0)
    asked = len(waiting.replicas) * resources.workers * profile.size
    return "eighths of a GPU's memory for slices", asked, int(slices.sum())


def is_kept_for_others(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> bool:
    """Whether it would fit if nothing were kept for others."""
    if not any(claimant != waiting.reservation_id for claimant in snapshot.claims):
        return False
    with lifted(snapshot, snapshot.claims.values()):
        return (
            place(snapshot.cluster, snapshot.chooser, waiting.request.resources, waiting.replicas, allowed) is not None
        )
