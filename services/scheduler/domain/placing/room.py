"""One node, with some of what runs on it imagined away: how many pods would fit, and what has to go for one more?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from schemas.mig import profile_of
from schemas.resources import WHOLE_GPU_MILLI, Allocation, Resources, Sharing
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.placing.feasibility import MOST_PODS
from services.scheduler.domain.placing.occupants import OccupantT, by_place
from services.scheduler.domain.placing.slices import slices_beside


class Room:
    """What would be free on a node. Plain integers: it is asked many times about few of them."""

    def __init__(self, cluster: Cluster, row: int) -> None:
        self._node = cluster.nodes[row]
        self._cpu = int(cluster.cpu_free[row])
        self._memory = int(cluster.memory_free[row])
        count = self._node.gpu_count
        self._taken: list[int] = cluster.device_taken[row, :count].tolist()
        self._held: list[int] = cluster.device_held[row, :count].tolist()
        self._slices: list[int] = cluster.device_slices[row, :count].tolist()
        self._slices_held: list[int] = cluster.slices_held[row, :count].tolist()
        self._devices = [device for device in range(count) if device not in self._node.failed_devices]

    def give(self, resources: Resources, allocations: Iterable[Allocation], sign: int = 1) -> None:
        """Imagine these pods away, as far as they are on this node; with sign -1 back again."""
        for allocation in allocations:
            if allocation.node == self._node.name:
                self._give(resources, allocation, sign)

    def pods(self, resources: Resources) -> int:
        """Pods of this demand that would fit; the node's model is taken to be right."""
        pods = MOST_PODS
        if resources.cpu_milli:
            pods = self._cpu // resources.cpu_milli
        if resources.memory_mib:
            pods = min(pods, self._memory // resources.memory_mib)
        if pods > 0 and resources.gpu_count:
            pods = min(pods, self._places(resources) // resources.gpu_count)
        return max(pods, 0)

    def _places(self, resources: Resources) -> int:
        """Devices, shares or slices of this demand that are free on all devices."""
        if resources.sharing is Sharing.MIG:
            return sum(self._slices_on(device, resources.mig_profile) for device in self._devices)
        total = 0
        for device in self._devices:
            if not self._slices[device] and not self._slices_held[device]:
                free = WHOLE_GPU_MILLI - self._taken[device] - self._held[device]
                total += max(free, 0) // resources.gpu_milli
        return total

    def _slices_on(self, device: int, profile: str) -> int:
        """As `Cluster.takes_slices`, or on an idle device."""
        slices = self._slices[device]
        if self._held[device] or (self._taken[device] and not slices):
            return 0
        return slices_beside(self._node.gpu_model, profile, slices | self._slices_held[device])

    def _give(self, resources: Resources, allocation: Allocation, sign: int) -> None:
        self._cpu += sign * resources.cpu_milli
        self._memory += sign * resources.memory_mib
        for device in allocation.devices:
            self._taken[device] -= sign * allocation.gpu_milli
        profile = profile_of(self._node.gpu_model, allocation.mig_profile) if allocation.mig_profile else None
        if profile is not None and allocation.mig_start is not None:
            self._slices[allocation.devices[0]] -= sign * profile.mask(allocation.mig_start)


def ways(
    cluster: Cluster, row: int, resources: Resources, occupants: Sequence[OccupantT]
) -> Iterator[tuple[list[OccupantT], int]]:
    """Ways to make room for one more pod on the node: some of the occupants, none of whom could stay, and for how many
    more pods they make room. Nothing when not even all of them do.

    Tried in three orders: as they are given, the largest first, and those first who are the fewest on a device.
    """
    largest = sorted(occupants, key=lambda each: (each.tier, -each.gpu_milli))
    fewest = by_place(cluster.nodes[row], resources, occupants)
    seen: list[Sequence[OccupantT]] = []
    for order in (occupants, largest, fewest):
        if order not in seen:
            seen.append(order)
            found = _first_of(Room(cluster, row), resources, order)
            if found is None:
                return
            yield found


def _first_of(room: Room, resources: Resources, order: Sequence[OccupantT]) -> tuple[list[OccupantT], int] | None:
    before = room.pods(resources)
    going: list[OccupantT] = []
    for occupant in order:
        room.give(occupant.resources, occupant.allocations)
        going.append(occupant)
        if room.pods(resources) > before:
            break
    else:
        return None
    for occupant in going[-2::-1]:
        room.give(occupant.resources, occupant.allocations, -1)
        if room.pods(resources) > before:
            going.remove(occupant)
        else:
            room.give(occupant.resources, occupant.allocations)
    return going, room.pods(resources) - before
