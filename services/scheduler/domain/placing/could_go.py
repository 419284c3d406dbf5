"""How much could be drained of each node: an upper bound, kept up to date, for what no draining would help.

A request that waits is looked at after every release, and a search costs as much as there is to drain. Most that wait
in vain are told apart by this at the cost of a few sums over the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from schemas.resources import WHOLE_GPU_MILLI
from services.scheduler.domain.model import Request, Reservation
from services.scheduler.domain.nodes.cluster import ABSENT, Cluster, Flags, Ints
from services.scheduler.domain.placing.feasibility import pods_of

Key = tuple[bool, int]
"""Whether beyond a minimum, and the priority."""


def keys_for(priority: int, keys: Iterable[Key]) -> list[Key]:
    """Those of the keys whose reservations may be drained for a request of this priority, guarantees apart."""
    return [key for key in keys if key[1] < priority or (key[0] and key[1] == priority)]


class CouldGo:
    """What the drainable reservations hold, by key: CPU, memory and thousandths of devices of each node."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._held: dict[Key, tuple[Ints, Ints, Ints]] = {}

    def add(self, key: Key, reservation: Reservation, sign: int = 1) -> None:
        """Count what the reservation holds; with sign -1 no more."""
        cpu, memory, devices = self._of(key)
        resources = reservation.request.resources
        for allocation in reservation.allocations:
            row = self._cluster.row_of[allocation.node]
            cpu[row] += sign * resources.cpu_milli
            memory[row] += sign * resources.memory_mib
            for device in allocation.devices:
                devices[row, device] += sign * allocation.gpu_milli

    def most(self, request: Request, rows: Flags) -> int:
        """Pods of the request that the rows could take if all went that may go for it; never too few."""
        cluster, resources = self._cluster, request.resources
        cpu, memory = cluster.cpu_free.copy(), cluster.memory_free.copy()
        devices = WHOLE_GPU_MILLI - cluster.device_taken - cluster.device_held
        for key in keys_for(request.priority, self._held):
            more = self._of(key)
            cpu += more[0]
            memory += more[1]
            devices += more[2]
        # a slice counts as so little that at least as many fit as NVIDIA allows
        places = (
            np.where(cluster.device_free != ABSENT, devices // max(resources.gpu_milli, 1), 0).clip(min=0).sum(axis=1)
        )
        return int(pods_of(resources, cpu, memory, places)[rows].sum())

    def _of(self, key: Key) -> tuple[Ints, Ints, Ints]:
        """The arrays of the key, as large as the cluster's."""
        shape = self._cluster.device_taken.shape
        held = self._held.get(key)
        if held is None:
            held = np.zeros(shape[0], np.int64), np.zeros(shape[0], np.int64), np.zeros(shape, np.int64)
        elif held[2].shape != shape:
            nodes, width = shape[0] - held[2].shape[0], shape[1] - held[2].shape[1]
            held = np.pad(held[0], (0, nodes)), np.pad(held[1], (0, nodes)), np.pad(held[2], ((0, nodes), (0, width)))
        self._held[key] = held
        return held
