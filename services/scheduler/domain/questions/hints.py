"""What a node autoscaler would have to add so that the head of the queue starts."""

from __future__ import annotations

import numpy as np

from schemas.capacity import CapacityHint
from schemas.resources import Resources, Topology
from services.scheduler.domain.model import Node, Waiting
from services.scheduler.domain.nodes.cluster import Cluster, Flags
from services.scheduler.domain.placing.feasibility import pods_now, pods_when_empty, right_model
from services.scheduler.domain.pool.claims import lifted
from services.scheduler.domain.pool.limits import Refusal, may_start
from services.scheduler.domain.pool.snapshot import Snapshot

MOST = 5
"""Kinds of nodes that are proposed."""


def hints_for(snapshot: Snapshot, waiting: Waiting) -> tuple[CapacityHint, ...]:
    """Nodes to add, of each kind that the pool knows and that could take a pod; the fewest GPUs first.

    What is free now is counted as far as whole pods fit on it; where all must lie in one zone, in the best one.
    """
    cluster, resources = snapshot.cluster, waiting.request.resources
    allowed = may_start(snapshot, waiting)
    if isinstance(allowed, Refusal):
        return ()
    candidates = right_model(cluster, resources)
    rows = candidates if allowed is None else candidates & allowed
    own = snapshot.claims.get(waiting.reservation_id)
    with lifted(snapshot, [own] if own else []):
        zone, fit = _fit(cluster, resources, rows)
    missing = len(waiting.replicas) * resources.workers - fit
    found = []
    for node in _kinds(cluster, {cluster.nodes[row].gpu_model for row in np.flatnonzero(candidates & ~rows)}):
        alone = Cluster([node])
        each = pods_when_empty(alone, resources, right_model(alone, resources))
        if each:
            found.append(_hint(waiting, node, max(1, -(-missing // each)), zone))
    return tuple(sorted(found, key=lambda hint: (hint.nodes * hint.gpu_count, hint.nodes, hint.cpu_milli))[:MOST])


def _fit(cluster: Cluster, resources: Resources, rows: Flags) -> tuple[str, int]:
    """How many pods fit now, and in which zone where that matters."""
    if resources.topology is not Topology.SAME_ZONE:
        return "", pods_now(cluster, resources, rows)
    zones = {cluster.nodes[row].zone for row in np.flatnonzero(rows)}
    fits = [(pods_now(cluster, resources, rows & _is_in(cluster, zone)), zone) for zone in sorted(zones)]
    fit, zone = max(fits, key=lambda each: each[0], default=(0, ""))
    return zone, fit


def _is_in(cluster: Cluster, zone: str) -> Flags:
    return np.array([node.zone == zone for node in cluster.nodes], np.bool_)


def _kinds(cluster: Cluster, besides: set[str]) -> list[Node]:
    """One healthy node of each kind, in rank order, but for these models."""
    kinds: dict[tuple[str, int, int, int], Node] = {}
    for node in cluster.nodes:
        if node.gpu_model not in besides:
            healthy = Node("new", node.cpu_milli, node.memory_mib, node.gpu_count, node.gpu_model)
            kinds.setdefault((node.gpu_model, node.gpu_count, node.cpu_milli, node.memory_mib), healthy)
    return list(kinds.values())


def _hint(waiting: Waiting, node: Node, nodes: int, zone: str) -> CapacityHint:
    gpus = f"{node.gpu_count} x {node.gpu_model}" if node.gpu_count else "no GPU"
    place = f" in zone {zone!r}" if zone else ""
    more = "1 more node" if nodes == 1 else f"{nodes} more nodes"
    return CapacityHint(
        reservation_id=waiting.reservation_id,
        nodes=nodes,
        gpu_model=node.gpu_model,
        gpu_count=node.gpu_count,
        cpu_milli=node.cpu_milli,
        memory_mib=node.memory_mib,
        detail=f"{more} with {gpus}, {node.cpu_milli} milli-CPU and {node.memory_mib} MiB each{place} would do",
    )
