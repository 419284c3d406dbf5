"""Decides about one request, short of whether it may wait. The snapshot is as before afterwards."""

from __future__ import annotations

from services.scheduler.domain.deciding.explain import alternatives_of, explain
from services.scheduler.domain.deciding.reasons import Why, never, over_limit, why
from services.scheduler.domain.decision import Placed, Queued, Rejected
from services.scheduler.domain.model import Request, Waiting
from services.scheduler.domain.nodes.cluster import Flags
from services.scheduler.domain.placing.place import UNRANKED, Placement, can_take_all, place
from services.scheduler.domain.pool.claims import lifted
from services.scheduler.domain.pool.limits import Refusal, may_start
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.waiting.promise import may_run_before
from services.scheduler.domain.waiting.turns import position_of


def decide_at_once(snapshot: Snapshot, request: Request) -> Placed | Rejected | None:
    """Placed, or rejected with the reason; None when it has to wait."""
    refused = never(snapshot, request) or over_limit(snapshot, request)
    if refused is not None:
        return refused
    return try_to_place(snapshot, Waiting(request, tuple(range(request.replicas))))


def queued(snapshot: Snapshot, waiting: Waiting, reason: Why | None = None) -> Queued:
    """That it waits, where and why."""
    reason = reason or why(snapshot, waiting)
    claim = snapshot.claims.get(waiting.reservation_id)
    return Queued(position_of(snapshot, waiting), *reason, claim.promised_at if claim else None)


def try_to_place(snapshot: Snapshot, waiting: Waiting) -> Placed | None:
    """Its placement; None when its tenant may not have it, or it does not fit now."""
    allowed = may_start(snapshot, waiting)
    return None if isinstance(allowed, Refusal) else try_to_place_on(snapshot, waiting, allowed)


def try_to_place_on(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> Placed | None:
    """Its placement on those nodes, all when None; None when it does not fit now."""
    placement = _find(snapshot, waiting, allowed)
    return None if placement is None else _placed(snapshot, waiting, placement)


def _find(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> Placement | None:
    """On what is kept for it, else on what is free, else on what is kept for others until it will be over."""
    cluster, chooser, resources = snapshot.cluster, snapshot.chooser, waiting.request.resources
    own = snapshot.claims.get(waiting.reservation_id)
    with lifted(snapshot, [own] if own else []):
        if own is not None and can_take_all(cluster, resources, own.allocations, allowed):
            return Placement(own.allocations, UNRANKED)
        found = place(cluster, chooser, resources, waiting.replicas, allowed)
        others = may_run_before(snapshot, waiting.request) if found is None else []
        if not others:
            return found
        with lifted(snapshot, others):
            return place(cluster, chooser, resources, waiting.replicas, allowed)


def _placed(snapshot: Snapshot, waiting: Waiting, placement: Placement) -> Placed:
    first = placement.first
    held = snapshot.reservations.get(waiting.reservation_id)
    before = held.allocations if held else ()
    every = sorted((*before, *placement.allocations), key=lambda each: (each.replica, each.worker))
    return Placed(
        allocations=placement.allocations,
        score=int(first.scores[0]) if first.feasible else 0,
        alternatives=alternatives_of(snapshot.cluster, first),
        explanation=explain(snapshot.cluster, placement, snapshot.policy),
        held=tuple(every) if before else (),
        credit_milli=_credit(snapshot, waiting),
    )


def _credit(snapshot: Snapshot, waiting: Waiting) -> int:
    """Thousandths by which the tenant is over its limit once it has this."""
    tenant = snapshot.tenant(waiting.request.tenant_id)
    if tenant.max_gpu_milli is None:
        return 0
    return max(0, snapshot.shares.gpu_milli(tenant.tenant_id) + waiting.gpu_milli - tenant.max_gpu_milli)
