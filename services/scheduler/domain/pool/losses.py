"""What a change of a node takes from under reservations: whole replicas, of a gang all of it."""

from __future__ import annotations

from schemas.placement import LossReason
from schemas.resources import Allocation
from services.scheduler.domain.decision import Lost
from services.scheduler.domain.model import Node, Reservation, Waiting
from services.scheduler.domain.pool.claims import gone
from services.scheduler.domain.pool.snapshot import Snapshot


def losses(snapshot: Snapshot, before: Node, after: Node) -> list[Lost]:
    """Take from the reservations what the node will not have any more; the lost replicas wait to be placed again.

    To be called while the snapshot knows the node as it was.
    """
    if after.is_present and before.is_present and _keeps_all(before, after):
        return []
    affected = [
        held
        for held in snapshot.reservations.values()
        if any(allocation.node == before.name for allocation in held.allocations)
    ]
    in_order = sorted(affected, key=lambda held: held.request.arrival)
    found = (_lose(snapshot, held, before, after) for held in in_order)
    return [lost for lost in found if lost is not None]


def _keeps_all(before: Node, after: Node) -> bool:
    return (
        before.gpu_model == after.gpu_model
        and before.gpu_count <= after.gpu_count
        and set(after.failed_devices) <= set(before.failed_devices)
    )


def _lose(snapshot: Snapshot, held: Reservation, before: Node, after: Node) -> Lost | None:
    hit = [(each, cause) for each in held.allocations if (cause := _cause(each, before, after)) is not None]
    if not hit:
        return None
    replicas = tuple(sorted({allocation.replica for allocation, _ in hit}))
    reason, detail = hit[0][1]
    request = held.request
    waiting = snapshot.queue.find(request.reservation_id)
    before_that = waiting.replicas if waiting else ()
    gpu_milli = snapshot.give_back(request.reservation_id, replicas)
    gone(snapshot, request.reservation_id, replicas)
    snapshot.wait(Waiting(request, tuple(sorted({*replicas, *before_that})), is_lost=True))
    return Lost(request, replicas, gpu_milli, reason, detail)


def _cause(allocation: Allocation, before: Node, after: Node) -> tuple[LossReason, str] | None:
    """Why the pod's place is gone; None when it is there still."""
    if allocation.node != before.name:
        return None
    if not after.is_present:
        return LossReason.NODE_REMOVED, f"node {before.name} is gone"
    broken = [device for device in allocation.devices if device in after.failed_devices]
    if broken:
        return LossReason.DEVICE_FAILED, f"device {broken[0]} of node {before.name} is broken"
    if allocation.devices and (before.gpu_model != after.gpu_model or max(allocation.devices) >= after.gpu_count):
        has = f"{after.gpu_count} x {after.gpu_model or 'no GPU'}"
        return LossReason.NODE_SHRUNK, f"node {before.name} has {has} now"
    return None
