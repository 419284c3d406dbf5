"""Which rows can take a pod now: CPU, memory, model, and enough devices with enough free."""

from __future__ import annotations

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.compiled import compiled


def fits(cluster: Cluster, rows: Ints, shape: Shape) -> Flags:
    """Whether each of the rows can take one pod of this shape, shape (rows,). A pod without GPU fits any open node."""
    codes = cluster.model_codes(shape.gpu_models) if shape.gpu_count else []
    if shape.gpu_count and shape.gpu_models and not codes:
        return np.zeros(rows.size, np.bool_)
    free = (cluster.is_open, cluster.cpu_free, cluster.memory_free, cluster.model, cluster.device_free)
    demand = (shape.cpu_milli, shape.memory_mib, shape.gpu_count, shape.gpu_milli)
    fitting = np.empty(rows.size, np.bool_)
    _fit(rows, free, demand, np.array(codes, np.int64), fitting)
    return fitting


@compiled
def _fit(
    rows: Ints,
    free: tuple[Flags, Ints, Ints, Ints, Ints],
    demand: tuple[int, int, int, int],
    codes: Ints,
    fitting: Flags,
) -> None:
    is_open, cpu, memory, model, devices = free
    for place in range(rows.size):
        row = rows[place]
        fitting[place] = is_open[row] and cpu[row] >= demand[0] and memory[row] >= demand[1]
        if fitting[place] and demand[2] > 0:
            missing = demand[2]
            for device in devices[row]:
                missing -= device >= demand[3]
            fitting[place] = missing <= 0 and (codes.size == 0 or (codes == model[row]).any())
