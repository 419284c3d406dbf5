"""A small cluster as the real API shows it: its map, its queue, and answers to questions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from schemas.capacity import CapacityDemand, CapacityHint, WouldBe
from schemas.placement import QueueReason, RejectedPlace
from schemas.resources import Allocation
from services.ingest_api.domain.gpu_map import Device, DeviceState, GpuMap, Holder, MapNode
from services.ingest_api.domain.questions import Defragmentation, ShownEviction, ShownMove, WhatIf
from services.ingest_api.domain.waiting_list import Hints, Queue, Waiter
from tests.unit.cli.events import DEPLOYMENT, NOON, RESERVATION, RESOURCES
from tests.unit.cli.resources import TENANT_ID

SOON = NOON + timedelta(minutes=5)
QUESTION = UUID(int=50)


def holder(gpu_milli: int = 500, **changes: Any) -> Holder:
    """`chat` of `acme`."""
    fields: dict[str, Any] = {
        "tenant_id": TENANT_ID,
        "tenant": "acme",
        "deployment_id": DEPLOYMENT,
        "deployment": "chat",
        "reservation_id": RESERVATION,
        "replica": 3,
        "worker": 0,
        "mig_profile": "",
        "mig_start": None,
    }
    return Holder(gpu_milli=gpu_milli, **fields | changes)


def device(index: int, state: DeviceState, free: int, *holders: Holder, others: int = 0) -> Device:
    """A GPU."""
    return Device(index=index, state=state, free_milli=free, others_milli=others, holders=holders)


def node(name: str, *devices: Device, **changes: Any) -> MapNode:
    """A node."""
    fields: dict[str, Any] = {"pool": "default", "zone": "z-1", "gpu_model": "A100", "is_cordoned": False}
    return MapNode(node=name, cpu_milli=1, memory_mib=1, devices=devices, **fields | changes)


CODE: dict[str, Any] = {"deployment_id": UUID(int=3), "deployment": "code", "tenant": "globex"}
SLICE = holder(142, mig_profile="1g.10gb", mig_start=4, worker=2)
MIXED = node(
    "node-1",
    device(0, DeviceState.FREE, 1000),
    device(1, DeviceState.SHARED, 200, holder(), others=300),
    device(2, DeviceState.EXCLUSIVE, 0, holder(1000, **CODE)),
    device(3, DeviceState.MIG, 858, SLICE),
    device(4, DeviceState.FAILED, 0),
)
EMPTY = node("node-2", device(0, DeviceState.FREE, 1000), gpu_model="T4", is_cordoned=True)


def gpu_map(*nodes: MapNode) -> GpuMap:
    """The map of these nodes."""
    devices = [each for one in nodes for each in one.devices]
    return GpuMap(
        gpu_total_milli=1000 * len(devices),
        gpu_free_milli=sum(each.free_milli for each in devices),
        gpu_failed_milli=sum(1000 for each in devices if each.state is DeviceState.FAILED),
        nodes=nodes,
    )


def waiter(position: int = 1, **changes: Any) -> Waiter:
    """Who waits."""
    fields: dict[str, Any] = {
        "reservation_id": RESERVATION,
        "deployment_id": DEPLOYMENT,
        "tenant_id": TENANT_ID,
        "reason": QueueReason.FRAGMENTED,
        "detail": "8 GPUs are free on no node",
        "estimated_start": SOON,
        "replicas": 2,
        "gpu_milli": 16_000,
        "priority": 100,
        "waiting_since": NOON,
        "deployment": "chat",
        "tenant": "acme",
    }
    return Waiter(position=position, **fields | changes)


def queue(*entries: Waiter) -> Queue:
    """A pool's queue."""
    return Queue(pool="default", at=NOON, as_of_decision=17, length=1200, gpu_milli=16_000, entries=entries)


def hints(*given: CapacityHint) -> Hints:
    """What would help a pool."""
    return Hints(pool="default", at=NOON, as_of_decision=17, length=len(given), hints=given)


HINT = CapacityHint(
    reservation_id=RESERVATION,
    nodes=2,
    gpu_model="A100",
    gpu_count=8,
    cpu_milli=96_000,
    memory_mib=786_432,
    detail="the head asks for 16 GPUs",
)
ABOUT: dict[str, Any] = {
    "question_id": QUESTION,
    "tenant_id": TENANT_ID,
    "pool": "default",
    "demand": CapacityDemand(resources=RESOURCES),
    "asked_at": NOON,
}
PLACE = Allocation(replica=0, node="node-1", devices=(0,), gpu_milli=142, mig_profile="1g.10gb", mig_start=4)
WHAT_IF = WhatIf(
    **ABOUT,
    answered_at=NOON,
    outcome=WouldBe.PLACED_AFTER_DRAINING,
    detail="2 replicas would make room",
    allocations=(PLACE,),
    alternatives=(RejectedPlace(node="node-7", score=3, why="it would leave a hole"),),
    evictions=(
        ShownEviction(
            reservation_id=RESERVATION,
            deployment_id=DEPLOYMENT,
            deployment="chat",
            replicas=1,
            gpu_milli=1000,
            priority=9,
        ),
        ShownEviction(
            reservation_id=None, deployment_id=None, deployment=None, replicas=2, gpu_milli=500, priority=None
        ),
    ),
    estimated_start=SOON,
    as_of_decision=17,
)
UNANSWERED = WhatIf(**ABOUT, answered_at=None)
MOVE = ShownMove(
    reservation_id=RESERVATION,
    deployment_id=DEPLOYMENT,
    deployment="chat",
    source=Allocation(replica=3, node="node-1", devices=(1,), gpu_milli=500),
    target=Allocation(replica=3, node="node-2", devices=(0,), gpu_milli=500),
)
PLAN = Defragmentation(
    **ABOUT,
    answered_at=NOON,
    is_possible=True,
    detail="one move",
    moves=(MOVE,),
    moved_gpu_milli=500,
    allocations=(PLACE,),
    as_of_decision=17,
)
NO_PLAN = Defragmentation(**ABOUT, answered_at=NOON, is_possible=False, detail="nothing can move", as_of_decision=17)
