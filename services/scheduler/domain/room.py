"""One node, with some of what runs on it imagined away: would a pod fit, and what has to go for it?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from schemas.mig import KIND_OF_MODEL, profile_of
from schemas.resources import WHOLE_GPU_MILLI, Allocation, Resources, Sharing
from services.scheduler.domain.cluster import Cluster
from services.scheduler.domain.slices import starts


class Occupant(Protocol):
    """Pods that go together."""

    @property
    def resources(self) -> Resources:
        """Demand of each."""

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """Their places."""


OccupantT = TypeVar("OccupantT", bound=Occupant)


class Room:
    """What would be free on a node. Plain integers: it is asked many times about few of them."""

    def __init__(self, cluster: Cluster, row: int) -> None:
        self._node = cluster.nodes[row]
        self._cpu = int(cluster.cpu_free[row])
        self._memory = int(cluster.memory_free[row])
        count = self._node.gpu_count
        self._free = (WHOLE_GPU_MILLI - cluster.device_taken[row, :count] - cluster.device_held[row, :count]).tolist()
        self._slices = (cluster.device_slices[row, :count] + cluster.slices_held[row, :count]).tolist()

    def give(self, resources: Resources, allocations: tuple[Allocation, ...], sign: int = 1) -> None:
        """Imagine these pods away, as far as they are on this node; with sign -1 back again."""
        for allocation in allocations:
            if allocation.node == self._node.name:
                self._give(resources, allocation, sign)

    def fits(self, resources: Resources) -> bool:
        """Whether one pod would fit."""
        if self._cpu < resources.cpu_milli or self._memory < resources.memory_mib:
            return False
        if resources.gpu_models and resources.gpu_count and self._node.gpu_model not in resources.gpu_models:
            return False
        devices = [device for device in range(len(self._free)) if device not in self._node.failed_devices]
        if resources.sharing is Sharing.MIG:
            return any(self._takes_slice(device, resources.mig_profile) for device in devices)
        uncut = [device for device in devices if self._slices[device] == 0]
        return len([device for device in uncut if self._free[device] >= resources.gpu_milli]) >= resources.gpu_count

    def _takes_slice(self, device: int, name: str) -> bool:
        if profile_of(self._node.gpu_model, name) is None:
            return False
        slices = self._slices[device]
        if slices == 0 and self._free[device] < WHOLE_GPU_MILLI:
            return False
        return int(starts(KIND_OF_MODEL[self._node.gpu_model], name)[0][slices]) >= 0

    def _give(self, resources: Resources, allocation: Allocation, sign: int) -> None:
        self._cpu += sign * resources.cpu_milli
        self._memory += sign * resources.memory_mib
        for device in allocation.devices:
            self._free[device] += sign * allocation.gpu_milli
        profile = profile_of(self._node.gpu_model, allocation.mig_profile)
        if profile is not None and allocation.mig_start is not None:
            self._slices[allocation.devices[0]] -= sign * profile.mask(allocation.mig_start)


def fewest(cluster: Cluster, row: int, resources: Resources, occupants: Iterable[OccupantT]) -> list[OccupantT] | None:
    """The first of these occupants that make room for one pod on the node, none of which could stay; None when not even
    all of them do."""
    room = Room(cluster, row)
    going: list[OccupantT] = []
    for occupant in occupants:
        room.give(occupant.resources, occupant.allocations)
        going.append(occupant)
        if room.fits(resources):
            break
    else:
        return None
    for occupant in going[-2::-1]:
        room.give(occupant.resources, occupant.allocations, -1)
        if room.fits(resources):
            going.remove(occupant)
        else:
            room.give(occupant.resources, occupant.allocations)
    return going
