"""Which rows can take a pod now: CPU, memory, model, and enough devices with enough free."""

from __future__ import annotations

import numpy as np

from services.scheduler.domain.cluster import Cluster, Flags, Ints
from services.scheduler.domain.shape import Shape


def fits(cluster: Cluster, rows: Ints, shape: Shape) -> Flags:
    """Whether each of the rows can take one pod of this shape, shape (rows,). A pod without GPU fits any open node."""
    room = cluster.is_open[rows] & (cluster.cpu_free[rows] >= shape.cpu_milli)
    room &= cluster.memory_free[rows] >= shape.memory_mib
    if shape.gpu_count == 0:
        return room
    if shape.gpu_models:
        room &= np.isin(cluster.model[rows], cluster.model_codes(shape.gpu_models))
    room &= (cluster.device_free[rows] >= shape.gpu_milli).sum(axis=1) >= shape.gpu_count
    return np.asarray(room, np.bool_)
