"""dot_product: the node whose free CPU and GPU have the smallest product with what is asked; the tightest device on it.

Source: the dot-product baseline of "Beware of Fragmentation" (USENIX ATC '23), after Tetris (SIGCOMM '14):
100·(1 - (cpuFree/128000·cpuReq/128000 + gpuFree/8000·gpuReq/8000)/2), a whole number.
"""

from __future__ import annotations

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.best_fit import LARGEST_CPU_MILLI, LARGEST_GPU_MILLI
from services.scheduler.domain.policies.devices import tightest
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.scoring import ScoringChooser


class DotProduct:
    """Where little is free of what the pod asks for, or little is asked of what is free."""

    name = "dot_product"
    version = "1"
    idea = "smallest product of free and asked"

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`."""
        return ScoringChooser(cluster, self)

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """At most 100, rounded down."""
        cpu = cluster.cpu_free[rows] * (shape.cpu_milli / LARGEST_CPU_MILLI**2)
        gpu = cluster.gpu_free[rows] * (shape.total_gpu_milli / LARGEST_GPU_MILLI**2)
        return np.asarray(np.floor(100 * (1 - (cpu + gpu) / 2)), np.int64)

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """The tightest device; for whole GPUs the lowest free indexes."""
        return tightest(cluster.device_free[row], shape)
