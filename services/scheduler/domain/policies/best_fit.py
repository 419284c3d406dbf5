"""best_fit: the node on which the least CPU and GPU would stay free; the tightest device on it.

Source: the best-fit baseline of "Beware of Fragmentation" (USENIX ATC '23). There the raw score of a node is
100·(1 - ½·(cpuFree - cpuReq)/128000 - ½·(gpuFree - gpuReq)/8000), normalised to 0-100 over the feasible nodes.
Here the same is computed in whole numbers: minus what is left, over a common denominator.
"""

from __future__ import annotations

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.devices import tightest
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.scoring import NormalisingChooser

LARGEST_CPU_MILLI = 128_000
"""CPU of the largest node of the published cluster."""
LARGEST_GPU_MILLI = 8_000
"""GPU of the largest node of the published cluster."""


class BestFit:
    """The tightest node, the tightest device."""

    name = "best_fit"
    version = "2"
    idea = "tightest fit"

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`."""
        return NormalisingChooser(cluster, self)

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """Minus what would stay free: the two shares of the largest node's, over their common denominator."""
        cpu_left = cluster.cpu_free[rows] - shape.cpu_milli
        gpu_left = cluster.gpu_free[rows] - shape.total_gpu_milli
        return np.asarray(-(cpu_left * LARGEST_GPU_MILLI + gpu_left * LARGEST_CPU_MILLI), np.int64)

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """The tightest device; for whole GPUs the lowest free indexes."""
        return tightest(cluster.device_free[row], shape)
