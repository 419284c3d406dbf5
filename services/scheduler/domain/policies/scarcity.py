"""What each class of pods could use of a node's idle GPU, and how dear that is.

A class that could use only a small part of all idle GPU is scarce of room: losing a little more of it weighs much.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.policies.compiled import compiled, inlined
from services.scheduler.domain.policies.workload import Classes

MOST_CLASSES = 512
"""Classes that are looked at, the most frequent ones."""
UNIT = 1 << 16
"""Weights are whole numbers of 1/65536."""
SMALLEST_SHARE = 0.005
"""A usable share below this counts as this, so that one lost class does not outweigh all others."""

MOST_WEIGHT = 3
"""All weights together are at most so many times what they are on the empty cluster. On a nearly full one, what some
classes lack is lost: to go on protecting it would cost all others."""


class Wants(NamedTuple):
    """The classes that ask for GPUs, those of one size next to each other: the same devices, the same of each."""

    cpu: Ints
    """Thousandths of a core, shape (classes,)."""
    memory: Ints
    """MiB, shape (classes,)."""
    counts: Ints
    """Pods, shape (classes,)."""
    allowed: Flags
    """Whether a class may go to a GPU model, shape (classes, codes)."""
    size: Ints
    """Devices, thousandths of each, first class and last class + 1 of each size; shape (sizes, 4)."""
    most: Ints
    """The largest CPU and memory of each size, shape (sizes, 2)."""
    all_allowed: Flags
    """Whether all classes of a size may go to a GPU model, shape (sizes, codes)."""


def order_of(classes: Classes) -> Ints:
    """The numbers of the most frequent classes that ask for GPUs, by devices, thousandths of each and frequency."""
    asking = np.flatnonzero(classes.demand[:, 2])[:MOST_CLASSES]
    return np.asarray(asking[np.lexsort((classes.demand[asking, 3], classes.demand[asking, 2]))], np.int64)


def wants_of(classes: Classes, cluster: Cluster) -> Wants:
    """The most frequent classes that ask for GPUs, in their order."""
    order = order_of(classes)
    cpu, memory, devices, milli = classes.demand[order].T.copy()
    first = np.flatnonzero(np.diff(devices * 10_000 + milli, prepend=-1))
    last = np.append(first[1:], order.size)[: first.size]
    allowed = classes.allowed(cluster)[order]
    return Wants(
        cpu,
        memory,
        classes.counts[order],
        allowed,
        np.stack([devices[first], milli[first], first, last], axis=1),
        np.array([(cpu[a:b].max(), memory[a:b].max()) for a, b in zip(first, last, strict=True)]).reshape(-1, 2),
        np.array([allowed[a:b].all(axis=0) for a, b in zip(first, last, strict=True)], np.bool_).reshape(
            first.size, allowed.shape[1]
        ),
    )


class Room(NamedTuple):
    """What nodes have to give."""

    cpu: Ints
    """Thousandths of a core, shape (nodes,)."""
    memory: Ints
    """MiB, shape (nodes,)."""
    model: Ints
    """Code of the GPU model, shape (nodes,)."""
    free: Ints
    """Thousandths of each device, most first, shape (nodes, devices)."""


def room_now(cluster: Cluster) -> Room:
    """What is free on the open nodes."""
    rows = cluster.is_open
    free = -np.sort(-np.maximum(cluster.device_free[rows], 0), axis=1)
    return Room(cluster.cpu_free[rows], cluster.memory_free[rows], cluster.model[rows], free)


def room_when_empty(cluster: Cluster) -> Room:
    """What would be free on the open nodes if nothing were taken."""
    rows = cluster.is_open
    devices = np.arange(cluster.device_free.shape[1]) < cluster.device_count[rows][:, None]
    return Room(cluster.cpu[0, rows], cluster.memory[0, rows], cluster.model[rows], devices * 1000)


def weights_of(wants: Wants, room: Room) -> Ints:
    """The weight of each class: its share of the pods · (1 / usable share of all idle GPU - 1), in `UNIT`s."""
    usable = np.zeros(wants.counts.size, np.int64)
    _add_usable(room, wants, usable)
    share = np.maximum(usable / max(int(room.free.sum()), 1), SMALLEST_SHARE)
    return np.asarray(np.rint(wants.counts / max(int(wants.counts.sum()), 1) * (1 / share - 1) * UNIT), np.int64)


def bounded(weights: Ints, when_empty: Ints) -> Ints:
    """The weights, in proportion, so that they are together at most `MOST_WEIGHT` times those on the empty cluster."""
    weight, most = int(weights.sum()), MOST_WEIGHT * int(when_empty.sum())
    return weights if weight <= most else weights * most // weight


@compiled
def _add_usable(room: Room, wants: Wants, usable: Ints) -> None:
    """Add what each class could use of these nodes, in thousandths of a GPU."""
    for row in range(room.cpu.size):
        for size in range(wants.size.shape[0]):
            pods = pods_on(room.free[row], wants.size[size, 0], wants.size[size, 1])[0]
            for number in range(wants.size[size, 2], wants.size[size, 3]):
                if pods > 0 and wants.allowed[number, room.model[row]]:
                    some = limited(pods, room.cpu[row], room.memory[row], wants.cpu[number], wants.memory[number])
                    usable[number] += some * wants.size[size, 0] * wants.size[size, 1]


@inlined
def pods_on(free: Ints, count: int, milli: int) -> tuple[int, int]:
    """How many pods of a size the devices could take, and thousandths on devices with enough for a part of one.

    `free` is in descending order.
    """
    pods, enough = 0, 0
    for device in free:
        if device < milli:
            break
        enough += device
        while device >= milli:
            device -= milli
            pods += 1
    return pods if count == 1 else pods // count, enough


@inlined
def limited(pods: int, cpu: int, memory: int, cpu_each: int, memory_each: int) -> int:
    """How many of these pods CPU and memory allow."""
    if pods * cpu_each > cpu:
        pods = cpu // cpu_each
    if pods * memory_each > memory:
        pods = memory // memory_each
    return pods
