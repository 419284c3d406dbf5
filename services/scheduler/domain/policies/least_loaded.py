"""least_loaded: the node with the largest share of its GPUs and CPU free; the emptiest device on it."""

from __future__ import annotations

import numpy as np

from schemas.resources import WHOLE_GPU_MILLI
from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.devices import emptiest
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.scoring import ScoringChooser


class LeastLoaded:
    """Spreads: every request goes where most is free."""

    name = "least_loaded"
    version = "2"
    idea = "least loaded"

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`."""
        return ScoringChooser(cluster, self)

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """0 to 100: the mean of the free shares of GPU and CPU in percent; without GPU on the node, of CPU alone."""
        cpu = _percent(cluster.cpu_free[rows], cluster.cpu[0, rows])
        devices = cluster.device_count[rows]
        gpu = _percent(cluster.gpu_free[rows], devices * WHOLE_GPU_MILLI)
        return np.asarray(np.where(devices > 0, (cpu + gpu) // 2, cpu), np.int64)

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """The emptiest devices."""
        return emptiest(cluster.device_free[row], shape)


def _percent(part: Ints, whole: Ints) -> Ints:
    return np.asarray(part * 100 // np.maximum(whole, 1), np.int64)
