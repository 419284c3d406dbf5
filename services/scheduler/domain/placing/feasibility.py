"""Which nodes can take a pod, now or ever, and how many pods a pool could take at most."""

from __future__ import annotations

import numpy as np

from schemas.mig import KIND_OF_MODEL, profile_of
from schemas.resources import WHOLE_GPU_MILLI, Resources, Sharing
from services.scheduler.domain.nodes.cluster import ABSENT, Cluster, Flags, Ints
from services.scheduler.domain.placing.slices import slices_a_device, slices_on

MOST_PODS = 1_000_000
"""Pods without any demand that a node is said to hold."""


def right_model(cluster: Cluster, resources: Resources, among: Flags | None = None) -> Flags:
    """Those of the open nodes, or of others, with devices of a model that will do, shape (nodes,); without GPU all."""
    rows = cluster.is_open if among is None else among
    if resources.gpu_count == 0:
        return rows
    rows = rows & (cluster.device_count > 0)
    if resources.gpu_models:
        rows = rows & np.isin(cluster.model, cluster.model_codes(resources.gpu_models))
    if resources.mig_profile:
        models = [model for model in KIND_OF_MODEL if profile_of(model, resources.mig_profile)]
        rows = rows & np.isin(cluster.model, cluster.model_codes(models))
    return rows


def pods_when_empty(cluster: Cluster, resources: Resources, rows: Flags) -> int:
    """Pods that these nodes could hold if nothing were reserved on them. Exact, because all pods are alike."""
    devices = (cluster.device_free[rows] != ABSENT).sum(axis=1)
    return int(
        pods_of(
            resources, cluster.cpu[0, rows], cluster.memory[0, rows], devices * _a_device(cluster, resources, rows)
        ).sum()
    )


def pods_now(cluster: Cluster, resources: Resources, rows: Flags) -> int:
    """Pods that these nodes can hold beside what is reserved and kept. Exact, because all pods are alike."""
    return int(pods_by_node(cluster, resources)[rows].sum())


def pods_by_node(cluster: Cluster, resources: Resources) -> Ints:
    """Pods that each node can hold beside what is reserved and kept, shape (nodes,). Whether it is open, or its model
    will do, is not looked at."""
    if resources.sharing is Sharing.MIG:
        places = slices_on(cluster, resources.mig_profile)
    else:
        places = (cluster.device_free // max(resources.gpu_milli, 1)).clip(min=0).sum(axis=1)
    return pods_of(resources, cluster.cpu_free, cluster.memory_free, places)


def pods_of(resources: Resources, cpu: Ints, memory: Ints, places: Ints) -> Ints:
    """Pods on each row: as many as its scarcest resource allows; `MOST_PODS` of those that ask for nothing."""
    pods = np.full(len(cpu), MOST_PODS, np.int64)
    if resources.cpu_milli:
        pods = np.minimum(pods, cpu.clip(min=0) // resources.cpu_milli)
    if resources.memory_mib:
        pods = np.minimum(pods, memory.clip(min=0) // resources.memory_mib)
    if resources.gpu_count:
        pods = np.minimum(pods, places // resources.gpu_count)
    return pods


def _a_device(cluster: Cluster, resources: Resources, rows: Flags) -> Ints:
    """Pods that fit on one idle device of each of the rows, counting a whole one as 1."""
    if resources.sharing is not Sharing.MIG:
        return np.full(int(rows.sum()), WHOLE_GPU_MILLI // max(resources.gpu_milli, 1), np.int64)
    models = [cluster.nodes[row].gpu_model for row in np.flatnonzero(rows)]
    return np.array([slices_a_device(model, resources.mig_profile) for model in models], np.int64)
