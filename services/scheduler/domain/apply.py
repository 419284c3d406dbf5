"""Applies one input to a snapshot: the only place where a pool's state changes.

What it returns is all that is said, and what it touched all that is stored. The batch that an input came in plays no
part, so that the same log gives the same decisions however it was cut.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import singledispatch
from uuid import UUID

from schemas.base import EventData
from schemas.capacity import AskDefragmentation, AskWhatIf, TimePassed
from schemas.deployment import DeploymentRequested
from schemas.node import NodeObserved, NodeRemoved
from schemas.placement import QueueReason, ReleaseCapacity, ReserveCapacity
from schemas.tenant import PlanChanged, TenantCreated, TenantResumed, TenantSuspended
from services.scheduler.domain.asking import request_of
from services.scheduler.domain.decision import (
    Answered,
    Decided,
    DrainWithdrawn,
    NodeChanged,
    Outcome,
    Placed,
    Rejected,
    Released,
    TenantChanged,
)
from services.scheduler.domain.errors import UnexpectedInputError
from services.scheduler.domain.model import Input, Node, Tenant, Waiting
from services.scheduler.domain.pool.claims import drop_broken, gone, withdraw
from services.scheduler.domain.pool.losses import losses
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.questions.defragment import plan_moves
from services.scheduler.domain.questions.whatif import what_if
from services.scheduler.domain.settle import decide, enqueue, place_at_once, settle


def apply(snapshot: Snapshot, entry: Input, at: datetime) -> list[Outcome]:
    """Change the snapshot as the input says; returns what happened, in order. `at` is the time, UTC; one before the
    input before it is taken for the time of that one. Raises `UnexpectedInputError`."""
    snapshot.applied += 1
    snapshot.now = max(snapshot.now, at)
    return _apply(entry.data, snapshot, entry)


@singledispatch
def _apply(data: EventData, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    raise UnexpectedInputError(data.type)


@_apply.register(DeploymentRequested)
@_apply.register(ReserveCapacity)
def _reserve(data: DeploymentRequested | ReserveCapacity, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    if snapshot.knows(data.reservation_id):
        return []
    request = request_of(snapshot, entry)
    decision = decide(snapshot, request)
    if isinstance(decision, Rejected):
        snapshot.close(request.reservation_id, request.tenant_id, request.deployment_id)
        return [Decided(request, decision)]
    snapshot.saw(request)
    waiting = Waiting(request, tuple(range(request.replicas)))
    if isinstance(decision, Placed):
        return [*place_at_once(snapshot, waiting, decision)]
    return [*enqueue(snapshot, waiting, decision)]


@_apply.register
def _release(data: ReleaseCapacity, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    """Of an unknown reservation too: the command may overtake the request, which must then find it closed.

    Of another tenant's nothing is released, whatever the command says.
    """
    request = snapshot.request(data.reservation_id)
    if request is not None and request.tenant_id != entry.tenant_id:
        return [_released(data, entry, 0)]
    return _release_part(data, snapshot, entry) if data.replicas else _release_all(data, snapshot, entry)


def _release_all(data: ReleaseCapacity, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    held, waiting = snapshot.reservations.get(data.reservation_id), snapshot.queue.find(data.reservation_id)
    given_back = snapshot.give_back(data.reservation_id, held.replicas) if held else 0
    if held is not None:
        gone(snapshot, data.reservation_id, held.replicas)
    if waiting is not None:
        snapshot.stop_waiting(data.reservation_id)
    snapshot.close(data.reservation_id, entry.tenant_id, data.deployment_id)
    withdrawn = withdraw(snapshot, data.reservation_id, "the request that needed the room was withdrawn")
    settled = settle(snapshot) if held or waiting else ()
    return [_released(data, entry, given_back), *withdrawn, *settled]


def _release_part(data: ReleaseCapacity, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    """Some replicas, held or waited for; with the last of them the reservation ends."""
    replicas = tuple(sorted(set(data.replicas)))
    given_back = snapshot.give_back(data.reservation_id, replicas)
    gone(snapshot, data.reservation_id, replicas)
    withdrawn = _wait_for_less(snapshot, data.reservation_id, replicas)
    released: Outcome = _released(data, entry, given_back, replicas)
    if not snapshot.knows(data.reservation_id):
        snapshot.close(data.reservation_id, entry.tenant_id, data.deployment_id)
        released = _released(data, entry, given_back)
    return [released, *withdrawn, *settle(snapshot)]


def _wait_for_less(snapshot: Snapshot, reservation_id: UUID, replicas: tuple[int, ...]) -> list[DrainWithdrawn]:
    """These replicas need not be waited for any more; what was kept for all of them is not what the rest needs."""
    waiting = snapshot.queue.find(reservation_id)
    if waiting is None or not set(waiting.replicas) & set(replicas):
        return []
    snapshot.stop_waiting(reservation_id)
    rest = tuple(replica for replica in waiting.replicas if replica not in replicas)
    if rest:
        snapshot.wait(replace(waiting, replicas=rest))
    return withdraw(snapshot, reservation_id, "the request that needed the room needs less of it")


def _released(data: ReleaseCapacity, entry: Input, gpu_milli: int, replicas: tuple[int, ...] = ()) -> Released:
    return Released(
        data.reservation_id, data.deployment_id, entry.tenant_id, gpu_milli, data.reason, entry.cause, replicas
    )


@_apply.register
def _observe(data: NodeObserved, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    if data.pool != snapshot.pool:
        return _remove(snapshot, data.node)
    failed = tuple(sorted({device for device in data.failed_devices if device < data.gpu_count}))
    node = Node(
        name=data.node,
        cpu_milli=data.cpu_milli,
        memory_mib=data.memory_mib,
        gpu_count=data.gpu_count,
        gpu_model=data.gpu_model,
        is_cordoned=data.is_cordoned,
        failed_devices=failed,
        zone=data.zone,
    )
    return _change_node(snapshot, node)


@_apply.register
def _node_removed(data: NodeRemoved, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    return _remove(snapshot, data.node)


def _remove(snapshot: Snapshot, name: str) -> list[Outcome]:
    row = snapshot.cluster.row_of.get(name)
    if row is None:
        return []
    return _change_node(snapshot, replace(snapshot.cluster.nodes[row], is_present=False))


def _change_node(snapshot: Snapshot, node: Node) -> list[Outcome]:
    row = snapshot.cluster.row_of.get(node.name)
    before = None if row is None else snapshot.cluster.nodes[row]
    if before == node:
        return []
    taken = _take_away(snapshot, before, node) if before is not None else []
    snapshot.observe(node)
    return [NodeChanged(node, snapshot.cluster.row_of[node.name]), *taken, *settle(snapshot)]


def _take_away(snapshot: Snapshot, before: Node, after: Node) -> list[Outcome]:
    """What is lost with the node, and who need not drain for what would have been on it."""
    lost = losses(snapshot, before, after)
    reason = "the request that needed the room has lost more of its places"
    larger = [each for loss in lost for each in withdraw(snapshot, loss.request.reservation_id, reason)]
    return [*lost, *larger, *drop_broken(snapshot, before, after)]


@_apply.register(TenantCreated)
@_apply.register(PlanChanged)
def _set_plan(data: TenantCreated | PlanChanged, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    plan = data.plan
    known = snapshot.tenant(data.tenant_id)
    changed = replace(
        known,
        max_gpu_milli=plan.max_concurrent_gpu_milli,
        weight=plan.weight,
        quotas=plan.gpu_quotas,
        max_waiting=plan.max_waiting_requests,
    )
    return _change_tenant(snapshot, changed)


@_apply.register(TenantSuspended)
@_apply.register(TenantResumed)
def _set_suspension(data: TenantSuspended | TenantResumed, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    is_suspended = isinstance(data, TenantSuspended)
    return _change_tenant(snapshot, replace(snapshot.tenant(data.tenant_id), is_suspended=is_suspended))


def _change_tenant(snapshot: Snapshot, tenant: Tenant) -> list[Outcome]:
    if snapshot.tenants.get(tenant.tenant_id) == tenant:
        return []
    snapshot.set_tenant(tenant)
    return [TenantChanged(tenant), *settle(snapshot)]


@_apply.register
def _time_passed(data: TimePassed, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    """Withdraw what was to start by now; a promise that did not come true is made anew."""
    outcomes: list[Outcome] = []
    for waiting in snapshot.queue.overdue(snapshot.now):
        request = snapshot.stop_waiting(waiting.reservation_id).request
        snapshot.close(request.reservation_id, request.tenant_id, request.deployment_id)
        outcomes += withdraw(snapshot, waiting.reservation_id, "the request that needed the room was withdrawn")
        detail = f"it was to start by {waiting.request.start_by:%Y-%m-%d %H:%M:%S} UTC; ask again, or for less"
        outcomes.append(Decided(waiting.request, Rejected(QueueReason.DEADLINE_PASSED, detail)))
    return [*outcomes, *settle(snapshot)]


@_apply.register
def _what_if(data: AskWhatIf, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    return [Answered(what_if(snapshot, data, entry.tenant_id), entry.cause)]


@_apply.register
def _defragment(data: AskDefragmentation, snapshot: Snapshot, entry: Input) -> list[Outcome]:
    return [Answered(plan_moves(snapshot, data, entry.tenant_id), entry.cause)]
