"""What the free part of a node is worth, computed once for each state that a node can be in.

Many nodes are in the same state, and most of the states that a decision asks about were asked about before. A state is
CPU, memory, model and the devices in descending order; what is kept is found by a hash of it. Of a million states, two
share a hash with a chance of 1 : 30,000,000.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.compiled import compiled, inlined
from services.scheduler.domain.policies.offers import SEQUENCES, Offers, idle_after
from services.scheduler.domain.policies.scarcity import UNIT, Wants, limited, pods_on

STATES = 1 << 20
"""Places for states; when seven of ten are taken, all are forgotten."""
OFFERED_WEIGHT = 4
"""Of the idle GPU after a sequence of offers, on a node with nearly nothing idle. Against it, a class that is all
of the pods and can use half of all idle GPU weighs 1."""
HALF_WEIGHT_MILLI = 1500
"""Idle GPU of a node at which that weight is half. What comes of a node with much idle is far off, and the sequences
are too few to tell its states apart: with the full weight, noise broke up whole nodes."""
MOST_DEVICES = 64
"""Of one node."""
STEP = 100 * UNIT
"""Losses are compared in steps of a tenth of a GPU: smaller ones are noise, and the rank of the node decides better."""


class Kept(NamedTuple):
    """What was computed; a table with open addressing."""

    states: Ints
    """Of each state `KEY` (0 = nothing here), `IDLE`, `LOSS` and `EPOCH`, side by side; shape (STATES, 4)."""
    taken: Ints
    """Places taken, shape (1,)."""
    scratch: Ints
    """Room for the devices of two nodes, shape (2, `MOST_DEVICES`)."""


KEY, IDLE, LOSS, EPOCH = range(4)
"""Columns: hash of the state; idle thousandths after all sequences of offers, in sum; what is lost of the state's idle
GPU, in 1/65536 of a thousandth of a GPU; when that was right, because weights change."""


class Valuation(NamedTuple):
    """All that a value depends on besides the state."""

    offers: Offers
    wants: Wants
    weights: Ints
    """Of the classes in `wants`, shape (classes,)."""
    size_weights: Ints
    """Their sums by size, shape (sizes,)."""
    epoch: int


def nothing_kept() -> Kept:
    """An empty table."""
    return Kept(np.zeros((STATES, 4), np.int64), np.zeros(1, np.int64), np.zeros((2, MOST_DEVICES), np.int64))


def score(cluster: Cluster, rows: Ints, shape: Shape, valuation: Valuation, kept: Kept) -> Ints:
    """Minus the steps that each row loses by the pod, shape (rows,)."""
    scores = np.empty(rows.size, np.int64)
    demand = (shape.cpu_milli, shape.memory_mib, shape.gpu_count, shape.gpu_milli)
    free = (cluster.cpu_free, cluster.memory_free, cluster.model, cluster.device_free)
    _score_rows(rows, free, demand, valuation, kept, scores)
    return scores


@compiled
def _score_rows(
    rows: Ints,
    free: tuple[Ints, Ints, Ints, Ints],
    demand: tuple[int, int, int, int],
    valuation: Valuation,
    kept: Kept,
    scores: Ints,
) -> None:
    """Nodes in the same state have the same score, computed once; `seen` and `found` are a table like `Kept`."""
    size = 1
    while size < 2 * rows.size:
        size *= 2
    seen, found = np.zeros(size, np.int64), np.empty(size, np.int64)
    for number in range(rows.size):
        row = rows[number]
        node, devices = (free[0][row], free[1][row], free[2][row]), free[3][row]
        key = _hash(node[0], node[1], node[2], _descending(devices, kept.scratch[0, : devices.size]))
        place = key & (size - 1)
        while seen[place] != key:
            if seen[place] == 0:
                seen[place] = key
                found[place] = best_device(node, devices, demand, valuation, kept)[0]
                break
            place = (place + 1) & (size - 1)
        scores[number] = found[place]


@compiled
def best_device(
    node: tuple[int, int, int],
    devices: Ints,
    demand: tuple[int, int, int, int],
    valuation: Valuation,
    kept: Kept,
) -> tuple[int, int]:
    """The best score of a pod on one device of a node, and the lowest device that has it.

    A pod without GPU, or with whole GPUs, has no choice: -1. `node` is CPU, memory, model.
    """
    cpu, memory, count, milli = demand
    before = _lost(node, devices, valuation, kept)
    rest = (node[0] - cpu, node[1] - memory, node[2])
    left = kept.scratch[1, : devices.size]
    left[:] = devices
    if count != 1:
        for device in range(left.size):
            if count > 0 and left[device] >= milli:
                left[device] -= milli
                count -= 1
        return _steps(_lost(rest, left, valuation, kept) - before), -1
    best, chosen = 0, -1
    for device in range(left.size):
        if left[device] >= milli and _is_first(devices, device):
            left[device] -= milli
            steps = _steps(_lost(rest, left, valuation, kept) - before)
            left[device] += milli
            if chosen < 0 or steps > best:
                best, chosen = steps, device
    return best, chosen


@inlined
def _is_first(devices: Ints, device: int) -> bool:
    """Whether no device before has as much free: equals need one try."""
    for before in range(device):  # noqa: SIM110 - all() over a generator is not compiled
        if devices[before] == devices[device]:
            return False
    return True


@inlined
def _steps(loss: int) -> int:
    return -((loss + STEP // 2) // STEP)


@compiled
def _lost(node: tuple[int, int, int], devices: Ints, valuation: Valuation, kept: Kept) -> int:
    """What is lost of the idle GPU of a node in this state, looked up or computed."""
    free = _descending(devices, kept.scratch[0, : devices.size])
    if free.size == 0:
        return 0
    cpu, memory, model = node
    key = _hash(cpu, memory, model, free)
    place = key & (STATES - 1)
    while kept.states[place, KEY] != key:
        if kept.states[place, KEY] == 0:
            kept.states[place, KEY] = key
            kept.states[place, IDLE] = idle_after(cpu, memory, model, free, valuation.offers)
            kept.taken[0] += 1
            break
        place = (place + 1) & (STATES - 1)
    if kept.states[place, EPOCH] != valuation.epoch:
        unusable = _unusable(node, free, valuation.wants, valuation.weights, valuation.size_weights)
        kept.states[place, EPOCH] = valuation.epoch
        kept.states[place, LOSS] = _unfilled(kept.states[place, IDLE], int(free.sum())) + unusable
    return int(kept.states[place, LOSS])


@inlined
def _unfilled(after_all: int, idle: int) -> int:
    """The weighted mean of what the sequences of offers left idle; `after_all` is their sum."""
    weight = OFFERED_WEIGHT * HALF_WEIGHT_MILLI * UNIT // SEQUENCES
    return weight * after_all // (HALF_WEIGHT_MILLI + idle)


@compiled
def _unusable(node: tuple[int, int, int], free: Ints, wants: Wants, weights: Ints, size_weights: Ints) -> int:
    """The mean of what lies on devices too full for a class and what the class could not use, by weight."""
    cpu, memory, model = node
    total = 2 * int(free.sum()) * int(size_weights.sum())
    for size in range(size_weights.size):
        count, milli, first, last = wants.size[size]
        if milli > free[0]:
            continue
        pods, enough = pods_on(free, count, milli)
        if pods == 0:
            continue
        is_unlimited = pods * wants.most[size, 0] <= cpu and pods * wants.most[size, 1] <= memory
        if is_unlimited and wants.all_allowed[size, model]:
            total -= size_weights[size] * (enough + pods * count * milli)
            continue
        for number in range(first, last):
            some = limited(pods, cpu, memory, wants.cpu[number], wants.memory[number])
            if some > 0 and wants.allowed[number, model]:
                total -= weights[number] * (enough + some * count * milli)
    return total // 2


@inlined
def _descending(devices: Ints, free: Ints) -> Ints:
    """What is free of the devices that have something free, most first; written to `free`."""
    size = 0
    for device in devices:
        if device > 0:
            place = size
            while place > 0 and free[place - 1] < device:
                free[place] = free[place - 1]
                place -= 1
            free[place] = device
            size += 1
    return free[:size]


@inlined
def _hash(cpu: int, memory: int, model: int, free: Ints) -> int:
    """Never 0."""
    mixed = _mix(_mix(_mix(np.uint64(1469598103934665603), cpu), memory), model)
    for device in free:
        mixed = _mix(mixed, device)
    return int(np.int64(mixed | np.uint64(1 << 62)))


@inlined
def _mix(mixed: np.uint64, part: int) -> np.uint64:
    mixed = (mixed ^ np.uint64(part)) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(29))
