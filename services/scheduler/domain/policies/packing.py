"""packing: first GPUs that are in use, then free GPUs of nodes in use, then idle nodes.

Source: the packing baseline of "Beware of Fragmentation" (USENIX ATC '23), after MLaaS in the Wild (NSDI '22).
"""

from __future__ import annotations

import numpy as np

from schemas.resources import WHOLE_GPU_MILLI
from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.devices import tightest
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.scoring import ScoringChooser

FAR = np.iinfo(np.int64).max
"""Sorts devices that do not fit behind all others."""


class Packing:
    """Keeps whole GPUs, and whole nodes, free for as long as it can."""

    name = "packing"
    version = "1"
    idea = "GPUs in use before idle ones"

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`."""
        return ScoringChooser(cluster, self)

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """50 and more where the pod's GPUs are all in use already, 33 to 50 on a node in use, less on an idle one."""
        if shape.gpu_count == 0:
            return np.zeros(rows.size, np.int64)
        free = cluster.device_free[rows]
        taken = np.sort(np.where(free >= shape.gpu_milli, free, FAR), axis=1)[:, : shape.gpu_count]
        idle = (taken == WHOLE_GPU_MILLI).sum(axis=1)
        on_node_in_use = np.where(idle > 0, np.maximum(50 - idle, 33), np.maximum(100 - taken.sum(axis=1) // 100, 50))
        devices = cluster.device_count[rows]
        is_idle = (free == WHOLE_GPU_MILLI).sum(axis=1) == devices
        return np.asarray(np.where(is_idle, np.maximum(33 - devices, devices), on_node_in_use), np.int64)

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """The tightest devices."""
        return tightest(cluster.device_free[row], shape)
