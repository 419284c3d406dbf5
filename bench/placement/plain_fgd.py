"""fgd as one would write it in numpy, without keeping anything from one decision to the next: the yardstick for speed.

It scores every node for every pod, vectorised over nodes, devices and typical classes.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from bench.placement.arrivals import Run
from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.fgd import Typical, typical_classes, typical_on
from services.scheduler.domain.policies.fitting import fits
from services.scheduler.domain.policies.workload import Workload


def plain_fgd_rate(run: Run, workload: Workload, pods: int) -> float:
    """Decisions a second over the first `pods` arrivals."""
    cluster = Cluster(run.nodes)
    typical = typical_on(cluster, typical_classes(workload))
    started = time.perf_counter()
    for shape in run.arrivals[:pods]:
        place(cluster, shape, typical)
    return min(pods, len(run.arrivals)) / (time.perf_counter() - started)


def place(cluster: Cluster, shape: Shape, typical: Typical) -> int | None:
    """Place one pod, on the arrays of the cluster themselves; the row, or None when it fits nowhere."""
    rows = np.flatnonzero(fits(cluster, np.arange(len(cluster)), shape))
    if rows.size == 0:
        return None
    free = cluster.device_free[rows]
    after = _devices_after(free, shape)
    cpu = cluster.cpu_free[rows]
    before = fragmentation(cpu, cluster.model[rows], free[:, None, :], typical)
    growth = fragmentation(cpu - shape.cpu_milli, cluster.model[rows], after, typical) - before
    possible = (after >= np.minimum(free, 0)[:, None, :]).all(axis=2)
    scores = np.where(possible, (100 / (1 + np.exp(growth / 1000))).astype(np.int64), -1)
    winner, way = divmod(int(scores.argmax()), after.shape[1])
    row = int(rows[winner])
    cluster.cpu_free[row] -= shape.cpu_milli
    cluster.memory_free[row] -= shape.memory_mib
    cluster.device_free[row] = after[winner, way]
    return row


def fragmentation(cpu: Ints, model: Ints, free: Ints, typical: Typical) -> NDArray[np.float64]:
    """Of nodes, in thousandths of a GPU, for several states of their devices, shape (nodes, states, devices).

    See `policies.fgd.fragmentation`. Classes of the same thousandths share what lies on which devices.
    """
    needed_cpu, _, count, milli = typical.demand.T
    sizes, size_of = np.unique(milli, return_inverse=True)
    present = np.maximum(free, 0)
    idle = present.sum(axis=2)
    fitting = np.empty((*idle.shape, sizes.size), np.int64)
    unusable = np.empty_like(fitting)
    for number, size in enumerate(sizes):
        enough = free >= size
        fitting[:, :, number] = enough.sum(axis=2)
        unusable[:, :, number] = idle - (present * enough).sum(axis=2)
    has_room = ((cpu[:, None] >= needed_cpu) & typical.allowed.T[model] & (count > 0))[:, None, :]
    fits_class = has_room & (fitting[:, :, size_of] >= count)
    return np.asarray(np.where(fits_class, unusable[:, :, size_of], idle[:, :, None]) @ typical.shares, np.float64)


def _devices_after(free: Ints, shape: Shape) -> Ints:
    """What each node's devices would have left, for each device that a share may take; shape (nodes, ways, devices)."""
    if shape.gpu_count != 1:
        taken = free >= shape.gpu_milli
        taken &= taken.cumsum(axis=1) <= shape.gpu_count
        return np.asarray((free - taken * shape.gpu_milli)[:, None, :], np.int64)
    return np.asarray(free[:, None, :] - np.eye(free.shape[1], dtype=np.int64) * shape.gpu_milli, np.int64)
