"""Finds places for all replicas of a request, or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from schemas.resources import Allocation, Resources
from services.scheduler.domain.cluster import Cluster, Ints
from services.scheduler.domain.feasibility import feasible
from services.scheduler.domain.policies.interface import Policy


@dataclass(frozen=True, slots=True)
class Ranking:
    """The feasible nodes of one replica, best first."""

    rows: Ints
    """Rows of the nodes, shape (feasible,)."""
    scores: Ints
    """Their scores, same shape."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the replicas go."""

    allocations: tuple[Allocation, ...]
    first: Ranking
    """What the first replica could choose from."""


def place(cluster: Cluster, resources: Resources, replicas: int, policy: Policy) -> Placement | None:
    """Places for all replicas, chosen one after another on a working copy; None when not all fit."""
    first = ranking = rank(cluster, resources, policy)
    working = cluster.copy() if replicas > 1 else cluster
    allocations: list[Allocation] = []
    while first is not None and ranking is not None:
        allocation = _allocate(working, int(ranking.rows[0]), resources, len(allocations), policy)
        allocations.append(allocation)
        if len(allocations) == replicas:
            return Placement(tuple(allocations), first)
        working.take(resources, allocation)
        ranking = rank(working, resources, policy)
    return None


def rank(cluster: Cluster, resources: Resources, policy: Policy) -> Ranking | None:
    """The feasible nodes by score, then rank; None when there is none."""
    rows = feasible(cluster, resources)
    if rows.size == 0:
        return None
    scores = policy.scores(cluster, rows, resources)
    order = np.argsort(-scores, kind="stable")
    return Ranking(rows[order], scores[order])


def _allocate(cluster: Cluster, row: int, resources: Resources, replica: int, policy: Policy) -> Allocation:
    devices = policy.devices(cluster.device_free[row], resources) if resources.gpu_count else ()
    return Allocation(
        replica=replica, node=cluster.nodes[row].name, devices=devices, gpu_milli=resources.gpu_milli if devices else 0
    )
