"""Which nodes can take a pod, now or ever, and how many pods a pool could take at most."""

from __future__ import annotations

import numpy as np

from schemas.mig import KIND_OF_MODEL, MEMORY_SLICES, profile_of
from schemas.resources import WHOLE_GPU_MILLI, Resources, Sharing
from services.scheduler.domain.cluster import Cluster, Flags, Ints


def right_model(cluster: Cluster, resources: Resources) -> Flags:
    """Open nodes with devices of a model that will do, shape (nodes,); without GPU any open node will do."""
    if resources.gpu_count == 0:
        return cluster.is_open
    rows = cluster.is_open & (cluster.device_count > 0)
    if resources.gpu_models:
        rows = rows & np.isin(cluster.model, cluster.model_codes(resources.gpu_models))
    if resources.mig_profile:
        models = [model for model in KIND_OF_MODEL if profile_of(model, resources.mig_profile)]
        rows = rows & np.isin(cluster.model, cluster.model_codes(models))
    return rows


def pods_when_empty(cluster: Cluster, resources: Resources, rows: Flags) -> int:
    """Pods that these nodes could hold if nothing were reserved on them. Exact, because all pods are alike."""
    broken = np.array([len(node.failed_devices) for node in cluster.nodes], np.int64)
    devices = (cluster.device_count - broken)[rows]
    return _pods(resources, cluster.cpu[0, rows], cluster.memory[0, rows], devices * _pods_a_device(resources))


def pods_now(cluster: Cluster, resources: Resources, rows: Flags) -> int:
    """Pods that these nodes can hold beside what is reserved, at most: of slices, one device can take fewer."""
    if resources.sharing is Sharing.MIG:
        free = np.full(int(rows.sum()), np.iinfo(np.int32).max, np.int64)
    else:
        free = (cluster.device_free[rows] // max(resources.gpu_milli, 1)).clip(min=0).sum(axis=1)
    return _pods(resources, cluster.cpu_free[rows], cluster.memory_free[rows], free)


def _pods(resources: Resources, cpu: Ints, memory: Ints, places: Ints) -> int:
    """Pods on all rows together: of each row as many as its scarcest resource allows."""
    limits = []
    if resources.cpu_milli:
        limits.append(cpu.clip(min=0) // resources.cpu_milli)
    if resources.memory_mib:
        limits.append(memory.clip(min=0) // resources.memory_mib)
    if resources.gpu_count:
        limits.append(places // resources.gpu_count)
    if not limits:
        return np.iinfo(np.int64).max if len(cpu) else 0
    return int(np.minimum.reduce(limits).sum())


def _pods_a_device(resources: Resources) -> int:
    """Pods that fit on one device, counting a whole one as 1."""
    if resources.sharing is Sharing.MIG:
        profile = next(found for model in KIND_OF_MODEL if (found := profile_of(model, resources.mig_profile)))
        return min(len(profile.starts), MEMORY_SLICES // profile.size)
    return WHOLE_GPU_MILLI // max(resources.gpu_milli, 1)
