"""Which nodes can take a replica now, and how many replicas a pool could ever take."""

from __future__ import annotations

import numpy as np

from schemas.resources import WHOLE_GPU_MILLI, Resources
from services.scheduler.domain.cluster import Cluster, Flags, Ints


def right_model(cluster: Cluster, resources: Resources) -> Flags:
    """Nodes that are there and have devices of a model that will do, shape (nodes,); without GPU any node will do."""
    if resources.gpu_count == 0:
        return cluster.is_open
    if not resources.gpu_models:
        return cluster.is_open & (cluster.device_count > 0)
    codes = cluster.model_codes(resources.gpu_models)
    return cluster.is_open & np.isin(cluster.model, codes) & (cluster.device_count > 0)


def feasible(cluster: Cluster, resources: Resources) -> Ints:
    """Rows of the nodes that one replica fits on now, in rank order: CPU, memory, model, devices with enough free."""
    fits = right_model(cluster, resources)
    fits = fits & (cluster.cpu_free >= resources.cpu_milli) & (cluster.memory_free >= resources.memory_mib)
    if resources.gpu_count:
        fits &= (cluster.device_free >= resources.gpu_milli).sum(axis=1) >= resources.gpu_count
    return np.flatnonzero(fits)


def replicas_when_empty(cluster: Cluster, resources: Resources) -> int:
    """Replicas that the pool could hold if nothing were reserved on it. Exact, because all replicas are alike."""
    rows = right_model(cluster, resources)
    limits = []
    if resources.cpu_milli:
        limits.append(cluster.cpu[0, rows] // resources.cpu_milli)
    if resources.memory_mib:
        limits.append(cluster.memory[0, rows] // resources.memory_mib)
    if resources.gpu_count:
        shares = WHOLE_GPU_MILLI // resources.gpu_milli
        limits.append(cluster.device_count[rows] * shares // resources.gpu_count)
    if not limits:
        return np.iinfo(np.int64).max if rows.any() else 0
    return int(np.minimum.reduce(limits).sum())
