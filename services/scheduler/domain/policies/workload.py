"""Which pods to expect: how often each shape was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import Shape

Workload = Mapping[Shape, int]
"""Pods by shape. A policy expects the shapes of the future in these proportions."""

PRIOR: Workload = {
    Shape(8_000, 32_768, 1, 1000): 4,
    Shape(4_000, 16_384, 1, 500): 2,
    Shape(16_000, 65_536, 2, 1000): 1,
    Shape(32_000, 131_072, 4, 1000): 1,
    Shape(64_000, 262_144, 8, 1000): 1,
}
"""What to expect before anything was asked for: mostly single GPUs, each with 8 cores and 32 GiB, a common share of a
node, but halves and whole nodes too."""


class Classes(NamedTuple):
    """Shapes as arrays, for compiled loops."""

    demand: Ints
    """CPU in thousandths of a core, memory in MiB, devices, thousandths of each; shape (classes, 4)."""
    counts: Ints
    """Pods of each class, shape (classes,)."""
    shapes: tuple[Shape, ...]
    """What each class is."""

    def allowed(self, cluster: Cluster) -> Flags:
        """Whether a class may go to a GPU model, by the cluster's codes, shape (classes, codes)."""
        codes = int(cluster.model.max()) + 1 if len(cluster) else 0
        allowed = np.zeros((len(self.shapes), codes), np.bool_)
        for row, shape in enumerate(self.shapes):
            allowed[row, cluster.model_codes(shape.gpu_models) if shape.gpu_models else slice(None)] = True
        return allowed


def classes_of(workload: Workload) -> Classes:
    """All shapes of the workload, the most frequent first; among equals the larger first."""
    ordered = sorted(workload.items(), key=lambda item: (item[1], item[0]), reverse=True)
    demand = [(shape.cpu_milli, shape.memory_mib, shape.gpu_count, shape.gpu_milli) for shape, _ in ordered]
    return Classes(
        np.array(demand, np.int64).reshape(-1, 4),
        np.array([count for _, count in ordered], np.int64),
        tuple(shape for shape, _ in ordered),
    )
