"""clustering: nodes that hold pods of the same size, and among them the fuller ones.

Source: the clustering baseline of "Beware of Fragmentation" (USENIX ATC '23), after Gandiva (OSDI '18). Sizes are a
share of a GPU and each number of whole GPUs.
"""

from __future__ import annotations

import numpy as np

from schemas.resources import WHOLE_GPU_MILLI
from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.best_fit import LARGEST_GPU_MILLI
from services.scheduler.domain.policies.devices import tightest
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.scoring import ScoringChooser

FULLEST = 25
"""Points of a node without free GPU; an idle one of the largest size has none."""


class Clustering:
    """Keeps pods of one size together."""

    name = "clustering"
    version = "1"
    idea = "pods of the same size together"

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`."""
        return ScoringChooser(cluster, self)

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """75 and more where only this size is, 50 where others are too, 25 on an empty node, less with others only."""
        if shape.gpu_count == 0:
            return np.zeros(rows.size, np.int64)
        holds = cluster.pods[rows] > 0
        same = holds[:, shape.gpu_count if shape.gpu_milli == WHOLE_GPU_MILLI else 0]
        sizes = holds.sum(axis=1)
        company = np.select([same & (sizes == 1), same, sizes == 0], [75, 50, 25], 0)
        fullness = FULLEST * (LARGEST_GPU_MILLI - cluster.gpu_free[rows]) // LARGEST_GPU_MILLI
        return np.asarray(company + fullness, np.int64)

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """The tightest devices."""
        return tightest(cluster.device_free[row], shape)
