"""Finds places for all pods of a request, or none: a gang is a request like any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.resources import Allocation, Resources, Sharing, Topology
from services.scheduler.domain.nodes.cluster import Cluster, Flags
from services.scheduler.domain.nodes.shape import shape_of
from services.scheduler.domain.placing.feasibility import pods_now, right_model
from services.scheduler.domain.placing.slices import place_slice
from services.scheduler.domain.policies.interface import Chooser, Ranking

RANKED = 4
"""Nodes that an explanation can name for the first pod."""

UNRANKED = Ranking(np.empty(0, np.int64), np.empty(0, np.int64), 0)
"""Of places that the policy did not choose."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pods go."""

    allocations: tuple[Allocation, ...]
    first: Ranking
    """What the first pod could choose from; `UNRANKED` of a slice, whose device is not the policy's choice."""


def place(
    cluster: Cluster, chooser: Chooser, resources: Resources, replicas: Sequence[int], allowed: Flags | None = None
) -> Placement | None:
    """Places for all workers of these replicas on the allowed nodes; None when not all fit. Nothing is taken."""
    for rows in _areas(cluster, resources, len(replicas) * resources.workers, allowed):
        allocations = _place(cluster, chooser, resources, replicas, rows)
        if allocations is not None:
            return Placement(allocations, _ranking(chooser, resources, rows))
    return None


def _areas(cluster: Cluster, resources: Resources, pods: int, allowed: Flags | None) -> Iterator[Flags | None]:
    """Sets of rows to try one after another, each with enough room in sum. In one zone: the tightest zone first, and
    among equals the one whose first node has the lowest rank."""
    rows = right_model(cluster, resources)
    if allowed is not None:
        rows = rows & allowed
    if pods > 1 and resources.topology is not Topology.ANY:
        zones = [rows & (cluster.zone == zone) for zone in dict.fromkeys(cluster.zone[rows].tolist())]
        rooms = [(pods_now(cluster, resources, zone), number) for number, zone in enumerate(zones)]
        yield from (zones[number] for room, number in sorted(rooms) if room >= pods)
        if resources.topology is Topology.SAME_ZONE:
            return
    if pods == 1 or pods_now(cluster, resources, rows) >= pods:
        yield allowed


def _ranking(chooser: Chooser, resources: Resources, rows: Flags | None) -> Ranking:
    if resources.sharing is Sharing.MIG:
        return UNRANKED
    return chooser.ranking(shape_of(resources), RANKED, rows)


def _place(
    cluster: Cluster, chooser: Chooser, resources: Resources, replicas: Sequence[int], rows: Flags | None
) -> tuple[Allocation, ...] | None:
    """One after another, each on what the ones before it leave; at the end all is given back."""
    taken: list[Allocation] = []
    pods = [(replica, worker) for replica in replicas for worker in range(resources.workers)]
    try:
        for replica, worker in pods:
            allocation = place_pod(cluster, chooser, resources, replica, worker, rows)
            if allocation is None:
                return None
            if len(pods) > 1:
                cluster.take(resources, allocation)
            taken.append(allocation)
    finally:
        if len(pods) > 1:
            cluster.give(resources, *taken)
    return tuple(taken)


def place_pod(
    cluster: Cluster, chooser: Chooser, resources: Resources, replica: int, worker: int, rows: Flags | None
) -> Allocation | None:
    """The place of one pod; None when it fits nowhere."""
    if resources.sharing is Sharing.MIG:
        everywhere = cluster.is_open if rows is None else rows
        if resources.gpu_models:
            everywhere = everywhere & right_model(cluster, resources)
        return place_slice(cluster, resources, everywhere, chooser, replica, worker)
    choice = chooser.best(shape_of(resources), rows)
    if choice is None:
        return None
    return Allocation(
        replica=replica,
        worker=worker,
        node=cluster.nodes[choice.row].name,
        devices=choice.devices,
        gpu_milli=resources.gpu_milli if choice.devices else 0,
    )


def can_take_all(
    cluster: Cluster, resources: Resources, allocations: Sequence[Allocation], allowed: Flags | None = None
) -> bool:
    """Whether those very places are free now, all at once, and on allowed nodes. Nothing is taken."""
    if allowed is not None and not all(allowed[cluster.row_of[allocation.node]] for allocation in allocations):
        return False
    taken: list[Allocation] = []
    try:
        for allocation in allocations:
            if not cluster.can_take(resources, allocation):
                return False
            cluster.take(resources, allocation)
            taken.append(allocation)
        return True
    finally:
        cluster.give(resources, *taken)
