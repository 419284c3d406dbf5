"""Applies one input to a snapshot: the only place where a pool's state changes.

What it returns is all that is stored and said. The batch that an input came in plays no part, so that the same log
gives the same decisions however it was cut.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

from schemas.base import EventData
from schemas.deployment import DeploymentRequested
from schemas.node import NodeObserved, NodeRemoved
from schemas.placement import ReleaseCapacity, ReserveCapacity
from schemas.tenant import PlanChanged, TenantCreated, TenantResumed, TenantSuspended
from services.scheduler.domain.decide import decide, may_hold, try_to_place
from services.scheduler.domain.decision import (
    Decided,
    NodeChanged,
    Outcome,
    Placed,
    Queued,
    Released,
    TenantChanged,
)
from services.scheduler.domain.errors import UnexpectedInputError
from services.scheduler.domain.model import Input, Node, Request, Reservation, Tenant
from services.scheduler.domain.policies.interface import Policy
from services.scheduler.domain.snapshot import Snapshot


def apply(snapshot: Snapshot, entry: Input, policy: Policy) -> list[Outcome]:
    """Change the snapshot as the input says; returns what happened, in order. Raises `UnexpectedInputError`."""
    snapshot.applied += 1
    return _apply(entry.data, snapshot, entry, policy)


def retry(snapshot: Snapshot, policy: Policy) -> list[Outcome]:
    """Try every waiting request once, in the queue's order; one that does not fit does not hold up those behind it.

    Capacity only shrinks during the pass, so a demand that did not fit is not tried again for as many replicas.
    """
    outcomes: list[Outcome] = []
    hopeless: dict[object, int] = {}
    for request in list(snapshot.queue):
        fewest = hopeless.get(request.resources)
        if (fewest is not None and request.replicas >= fewest) or not may_hold(snapshot, request):
            continue
        placed = _try_again(snapshot, request, policy)
        if placed is None:
            hopeless[request.resources] = request.replicas
            continue
        snapshot.queue.remove(request.reservation_id)
        snapshot.reserve(Reservation(request, placed.allocations))
        outcomes.append(Decided(request, placed))
    return outcomes


def _try_again(snapshot: Snapshot, request: Request, policy: Policy) -> Placed | None:
    """The placement; None also when trying fails: that must not cost what led to it, such as a release."""
    try:
        return try_to_place(snapshot, request, policy)
    except Exception as error:
        snapshot.failed_retries.append((request, error))
        return None


def request_of(snapshot: Snapshot, entry: Input) -> Request:
    """What the input asks for, as the arrival that was just counted. Raises `UnexpectedInputError`."""
    data = entry.data
    if isinstance(data, DeploymentRequested):
        spec = data.spec
        stage, replicas = 0, data.first_stage_replicas
        resources, pool, priority = spec.resources, spec.pool, spec.priority
    elif isinstance(data, ReserveCapacity):
        stage, replicas = data.stage, data.replicas
        resources, pool, priority = data.resources, data.pool, data.priority
    else:
        raise UnexpectedInputError(data.type)
    return Request(
        reservation_id=data.reservation_id,
        deployment_id=data.deployment_id,
        tenant_id=entry.tenant_id,
        revision=data.revision,
        stage=stage,
        replicas=replicas,
        resources=resources,
        pool=pool,
        priority=priority,
        arrival=snapshot.applied,
        cause=entry.cause,
    )


@singledispatch
def _apply(data: EventData, snapshot: Snapshot, entry: Input, policy: Policy) -> list[Outcome]:
    raise UnexpectedInputError(data.type)


@_apply.register(DeploymentRequested)
@_apply.register(ReserveCapacity)
def _reserve(
    data: DeploymentRequested | ReserveCapacity, snapshot: Snapshot, entry: Input, policy: Policy
) -> list[Outcome]:
    if snapshot.knows(data.reservation_id):
        return []
    request = request_of(snapshot, entry)
    decision = decide(snapshot, request, policy)
    if isinstance(decision, Placed):
        snapshot.reserve(Reservation(request, decision.allocations))
    elif isinstance(decision, Queued):
        snapshot.queue.add(request)
    else:
        snapshot.closed.add(request.reservation_id)
    return [Decided(request, decision)]


@_apply.register
def _release(data: ReleaseCapacity, snapshot: Snapshot, entry: Input, policy: Policy) -> list[Outcome]:
    """Of an unknown reservation too: the command may overtake the request, which must then find it closed.

    Of another tenant's nothing is released, whatever the command says.
    """
    request = snapshot.request(data.reservation_id)
    held = data.reservation_id in snapshot.reservations
    is_foreign = request is not None and request.tenant_id != entry.tenant_id
    given_back = 0 if is_foreign else snapshot.release(data.reservation_id)
    released = Released(data.reservation_id, data.deployment_id, entry.tenant_id, given_back, data.reason, entry.cause)
    return [released, *(retry(snapshot, policy) if held else ())]


@_apply.register
def _observe(data: NodeObserved, snapshot: Snapshot, entry: Input, policy: Policy) -> list[Outcome]:
    if data.pool != snapshot.pool:
        return _remove(snapshot, data.node)
    node = Node(data.node, data.cpu_milli, data.memory_mib, data.gpu_count, data.gpu_model)
    row = snapshot.cluster.row_of.get(node.name)
    if row is not None and snapshot.cluster.nodes[row] == node:
        return []
    return [_change_node(snapshot, node), *retry(snapshot, policy)]


@_apply.register
def _node_removed(data: NodeRemoved, snapshot: Snapshot, entry: Input, policy: Policy) -> list[Outcome]:
    return _remove(snapshot, data.node)


def _remove(snapshot: Snapshot, name: str) -> list[Outcome]:
    row = snapshot.cluster.row_of.get(name)
    if row is None or not snapshot.cluster.nodes[row].is_present:
        return []
    return [_change_node(snapshot, replace(snapshot.cluster.nodes[row], is_present=False))]


def _change_node(snapshot: Snapshot, node: Node) -> NodeChanged:
    snapshot.cluster.observe(node)
    return NodeChanged(node, snapshot.cluster.row_of[node.name])


@_apply.register(TenantCreated)
@_apply.register(PlanChanged)
def _set_plan(data: TenantCreated | PlanChanged, snapshot: Snapshot, entry: Input, policy: Policy) -> list[Outcome]:
    known = snapshot.tenants.get(data.tenant_id, Tenant(data.tenant_id, None))
    return _change_tenant(snapshot, replace(known, max_gpu_milli=data.plan.max_concurrent_gpu_milli), policy)


@_apply.register(TenantSuspended)
@_apply.register(TenantResumed)
def _set_suspension(
    data: TenantSuspended | TenantResumed, snapshot: Snapshot, entry: Input, policy: Policy
) -> list[Outcome]:
    known = snapshot.tenants.get(data.tenant_id, Tenant(data.tenant_id, None))
    return _change_tenant(snapshot, replace(known, is_suspended=isinstance(data, TenantSuspended)), policy)


def _change_tenant(snapshot: Snapshot, tenant: Tenant, policy: Policy) -> list[Outcome]:
    if snapshot.tenants.get(tenant.tenant_id) == tenant:
        return []
    snapshot.tenants[tenant.tenant_id] = tenant
    return [TenantChanged(tenant), *retry(snapshot, policy)]
