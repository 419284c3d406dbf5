"""best_fit: the node on which the least CPU and GPU would stay free; the tightest device on it.

Source: the best-fit baseline of "Beware of Fragmentation" (USENIX ATC '23). There the raw score of a node is
100·(1 - ½·(cpuFree - cpuReq)/128000 - ½·(gpuFree - gpuReq)/8000), normalised to 0-100 over the feasible nodes.
Here the same is computed in whole numbers: what is left, over a common denominator.
"""

from __future__ import annotations

import numpy as np

from schemas.resources import Resources
from services.scheduler.domain.cluster import Cluster, Ints
from services.scheduler.domain.policies.devices import tightest

LARGEST_CPU_MILLI = 128_000
"""CPU of the largest node of the published cluster."""
LARGEST_GPU_MILLI = 8_000
"""GPU of the largest node of the published cluster."""


class BestFit:
    """The tightest node, the tightest device."""

    name = "best_fit"
    version = "1"
    idea = "tightest fit"

    def scores(self, cluster: Cluster, rows: Ints, resources: Resources) -> Ints:
        """0 for the node with the most left over to 100 for the one with the least; all 0 when they are equal."""
        cpu_left = cluster.cpu_free[rows] - resources.cpu_milli
        gpu_left = cluster.gpu_free[rows] - resources.total_gpu_milli
        left = cpu_left * LARGEST_GPU_MILLI + gpu_left * LARGEST_CPU_MILLI
        most = left.max()
        span = most - left.min()
        if span == 0:
            return np.zeros_like(left)
        return np.asarray((most - left) * 100 // span, np.int64)

    def devices(self, free: Ints, resources: Resources) -> tuple[int, ...]:
        """The tightest device; for whole GPUs the lowest free indexes."""
        return tightest(free, resources)
