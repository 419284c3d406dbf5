"""The GPU map: nodes × devices, and who holds what of each. Pure.

A caller sees the holders that belong to it by name; of all others it sees how much of the device they hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from schemas.base import ContractModel
from schemas.resources import WHOLE_GPU_MILLI, Allocation
from services.ingest_api.domain.read import NodeCapacity

PartT = TypeVar("PartT")
ByDevice = dict[int, list[PartT]]
"""What lies on each device of a node."""
ByNode = dict[str, ByDevice[PartT]]


class DeviceState(StrEnum):
    """How a device is used."""

    FREE = "free"
    """Nothing is reserved on it."""
    SHARED = "shared"
    """Shares of it are reserved (MPS)."""
    EXCLUSIVE = "exclusive"
    """All of it is reserved by one."""
    MIG = "mig"
    """It is cut, and slices are reserved."""
    FAILED = "failed"
    """It is broken, or the node does not list it any more."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One reserved place, and whose it is."""

    tenant_id: UUID
    tenant: str | None
    """The tenant's name."""
    deployment_id: UUID
    deployment: str | None
    """The deployment's name."""
    reservation_id: UUID
    allocation: Allocation


class Holder(ContractModel):
    """Who holds something of a device."""

    tenant_id: UUID
    tenant: str | None
    deployment_id: UUID
    deployment: str | None
    reservation_id: UUID
    replica: int
    worker: int
    """Number of the pod within its replica."""
    gpu_milli: int
    """Thousandths of this device."""
    mig_profile: str
    """Profile of the slice; empty when the device is not cut."""
    mig_start: int | None
    """Memory slice at which it begins."""


class Device(ContractModel):
    """One GPU."""

    index: int
    state: DeviceState
    free_milli: int
    """Thousandths that nobody holds; 0 of a broken device."""
    others_milli: int
    """Thousandths that others hold, whom the caller does not see."""
    holders: tuple[Holder, ...]
    """Those whom the caller sees."""


class MapNode(ContractModel):
    """A node and its devices."""

    node: str
    pool: str
    zone: str
    gpu_model: str
    is_cordoned: bool
    """Whether it takes nothing new."""
    cpu_milli: int
    memory_mib: int
    devices: tuple[Device, ...]


class GpuMap(ContractModel):
    """Who holds which GPU."""

    gpu_total_milli: int
    """Thousandths of a GPU over all devices, broken ones included."""
    gpu_free_milli: int
    """Thousandths that nobody holds; those of broken devices and of nodes that take nothing new do not count."""
    gpu_failed_milli: int
    """Thousandths of broken devices."""
    nodes: tuple[MapNode, ...]


def gpu_map(nodes: Sequence[NodeCapacity], everything: Iterable[Allocation], seen: Iterable[Holding]) -> GpuMap:
    """The map of `nodes`: `everything` that is reserved counts, and those of it that are `seen` have names."""
    used = _sorted((allocation, allocation) for allocation in everything)
    held = _sorted((holding.allocation, _holder(holding)) for holding in seen)
    return _summed(tuple(_node(node, used.get(node.node, {}), held.get(node.node, {})) for node in nodes))


def _sorted(parts: Iterable[tuple[Allocation, PartT]]) -> ByNode[PartT]:
    found: ByNode[PartT] = {}
    for place, part in parts:
        devices = found.setdefault(place.node, {})
        for device in place.devices:
            devices.setdefault(device, []).append(part)
    return found


def _summed(nodes: tuple[MapNode, ...]) -> GpuMap:
    devices = [(node, device) for node in nodes for device in node.devices]
    return GpuMap(
        gpu_total_milli=len(devices) * WHOLE_GPU_MILLI,
        gpu_free_milli=sum(device.free_milli for node, device in devices if not node.is_cordoned),
        gpu_failed_milli=sum(WHOLE_GPU_MILLI for _, device in devices if device.state is DeviceState.FAILED),
        nodes=nodes,
    )


def _node(node: NodeCapacity, used: ByDevice[Allocation], held: ByDevice[Holder]) -> MapNode:
    return MapNode(
        node=node.node,
        pool=node.pool,
        zone=node.zone,
        gpu_model=node.gpu_model,
        is_cordoned=node.is_cordoned,
        cpu_milli=node.cpu_milli,
        memory_mib=node.memory_mib,
        devices=tuple(_device(node, index, used.get(index, ()), held.get(index, ())) for index in _indexes(node, used)),
    )


def _indexes(node: NodeCapacity, used: Collection[int]) -> list[int]:
    """The node's devices, and those that it does not list any more while something is still reserved on them."""
    return [*range(node.gpu_count), *sorted(device for device in used if device >= node.gpu_count)]


def _device(node: NodeCapacity, index: int, parts: Sequence[Allocation], holders: Sequence[Holder]) -> Device:
    used_milli = sum(part.gpu_milli for part in parts)
    is_failed = index in node.failed_devices or index >= node.gpu_count
    return Device(
        index=index,
        state=DeviceState.FAILED if is_failed else _state(parts),
        free_milli=0 if is_failed else max(0, WHOLE_GPU_MILLI - used_milli),
        others_milli=max(0, used_milli - sum(holder.gpu_milli for holder in holders)),
        holders=tuple(holders),
    )


def _state(parts: Sequence[Allocation]) -> DeviceState:
    if not parts:
        return DeviceState.FREE
    if any(part.mig_profile for part in parts):
        return DeviceState.MIG
    return DeviceState.EXCLUSIVE if parts[0].gpu_milli == WHOLE_GPU_MILLI else DeviceState.SHARED


def _holder(holding: Holding) -> Holder:
    place = holding.allocation
    return Holder(
        tenant_id=holding.tenant_id,
        tenant=holding.tenant,
        deployment_id=holding.deployment_id,
        deployment=holding.deployment,
        reservation_id=holding.reservation_id,
        replica=place.replica,
        worker=place.worker,
        gpu_milli=place.gpu_milli,
        mig_profile=place.mig_profile,
        mig_start=place.mig_start,
    )
