"""fgd: Fragmentation Gradient Descent, the node whose fragmentation grows least.

Source: "Beware of Fragmentation" (USENIX ATC '23), and its simulator for the constants. The fragmentation of a node is
the idle GPU that the pods to come cannot use, by their shares; the score is int(100·sigmoid((before - after) / 1000)).
"""

from __future__ import annotations

import json
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.compiled import compiled
from services.scheduler.domain.policies.devices import tightest
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.past import REMEMBERED, past_of
from services.scheduler.domain.policies.scoring import ScoringChooser
from services.scheduler.domain.policies.workload import Classes, Workload, classes_of

COVERED = 0.95
"""Share of the pods that the typical classes cover at least."""


class Typical(NamedTuple):
    """The classes that the fragmentation is measured by, as arrays."""

    demand: Ints
    """CPU, memory (unused), devices, thousandths of each; shape (classes, 4)."""
    allowed: Flags
    """Whether a class may go to a GPU model, shape (classes, codes)."""
    shares: NDArray[np.float64]
    """Of all pods of these classes, shape (classes,); their sum is 1."""


class Fgd:
    """As published."""

    name = "fgd"
    version = "1"
    idea = "least growth of fragmentation"

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`, with the past that an earlier chooser left."""
        return FgdChooser(cluster, memory, self._remembered)


class FgdChooser(ScoringChooser):
    """Keeps the typical classes of the recent past."""

    def __init__(self, cluster: Cluster, memory: str, remembered: int) -> None:
        super().__init__(cluster, self)
        self.memory = memory
        self._past = past_of(json.loads(memory)["past"] if memory else {}, remembered)
        self._classes = typical_classes(self._past.workload())
        self._typical = typical_on(cluster, self._classes)

    def saw(self, shape: Shape, pods: int = 1) -> None:
        """Counts the pods; at the end of a block, typical classes are found anew."""
        if self._past.saw(shape, pods):
            self.memory = json.dumps({"past": self._past.as_json()}, separators=(",", ":"))
            self._classes = typical_classes(self._past.workload())
            self._typical = typical_on(self._cluster, self._classes)
            self.forget()

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """0 to 100; 50 where nothing changes."""
        if rows.size and int(cluster.model[rows].max()) >= self._typical.allowed.shape[1]:
            self._typical = typical_on(cluster, self._classes)
        scores = np.empty(rows.size, np.int64)
        demand = (shape.cpu_milli, shape.gpu_count, shape.gpu_milli)
        _score_rows(rows, cluster.cpu_free, cluster.model, cluster.device_free, demand, self._typical, scores)
        return scores

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """Of a share, the device with the highest score, the lowest among equals; whole GPUs: the lowest free ones."""
        free = cluster.device_free[row]
        if shape.gpu_count != 1:
            return tightest(free, shape)
        demand = (shape.cpu_milli, shape.gpu_count, shape.gpu_milli)
        cpu, model = int(cluster.cpu_free[row]), int(cluster.model[row])
        return (int(_best_device(cpu, model, free.copy(), demand, self._typical)[1]),)


def typical_classes(workload: Workload) -> Classes:
    """The most frequent classes, memory aside (ties: the larger first), until they cover `COVERED` of the pods."""
    merged: dict[Shape, int] = {}
    for shape, pods in workload.items():
        without_memory = shape._replace(memory_mib=0)
        merged[without_memory] = merged.get(without_memory, 0) + pods
    classes = classes_of(merged)
    enough = np.searchsorted(classes.counts.cumsum(), math.ceil(classes.counts.sum() * COVERED)) + 1
    return Classes(classes.demand[:enough], classes.counts[:enough], classes.shapes[:enough])


def typical_on(cluster: Cluster, classes: Classes) -> Typical:
    """The classes with the model codes of a cluster."""
    return Typical(classes.demand, classes.allowed(cluster), classes.counts / classes.counts.sum())


@compiled
def fragmentation(cpu: int, model: int, free: Ints, typical: Typical) -> float:
    """Idle thousandths of a GPU of a node that an average typical pod cannot use; `free` has one entry a device."""
    idle = 0
    for device in free:
        idle += max(device, 0)
    total = 0.0
    for number in range(typical.demand.shape[0]):
        count, milli = typical.demand[number, 2], typical.demand[number, 3]
        fitting, unusable = 0, 0
        for device in free:
            if device >= milli:
                fitting += 1
            elif device > 0:
                unusable += device
        fits = count > 0 and fitting >= count and cpu >= typical.demand[number, 0] and typical.allowed[number, model]
        total += typical.shares[number] * (unusable if fits else idle)
    return total


@compiled
def _grade(before: float, after: float) -> int:
    return int(100.0 / (1.0 + math.exp((after - before) / 1000.0)))


@compiled
def _best_device(cpu: int, model: int, free: Ints, demand: tuple[int, int, int], typical: Typical) -> tuple[int, int]:
    """The best score of a pod on one device of a node, and the device."""
    before = fragmentation(cpu, model, free, typical)
    best, chosen = -1, -1
    for device in range(free.size):
        if free[device] >= demand[2]:
            free[device] -= demand[2]
            score = _grade(before, fragmentation(cpu - demand[0], model, free, typical))
            free[device] += demand[2]
            if score > best:
                best, chosen = score, device
    return best, chosen


@compiled
def _whole_devices(cpu: int, model: int, free: Ints, demand: tuple[int, int, int], typical: Typical) -> int:
    """The score of a pod that takes several devices of a node, or none."""
    before = fragmentation(cpu, model, free, typical)
    missing = demand[1]
    for device in range(free.size):
        if missing > 0 and free[device] >= demand[2]:
            free[device] -= demand[2]
            missing -= 1
    return _grade(before, fragmentation(cpu - demand[0], model, free, typical))


@compiled
def _score_rows(
    rows: Ints,
    cpu_free: Ints,
    model: Ints,
    device_free: Ints,
    demand: tuple[int, int, int],
    typical: Typical,
    scores: Ints,
) -> None:
    for place in range(rows.size):
        row = rows[place]
        free = device_free[row].copy()
        if demand[1] == 1:
            scores[place] = _best_device(cpu_free[row], model[row], free, demand, typical)[0]
        else:
            scores[place] = _whole_devices(cpu_free[row], model[row], free, demand, typical)
