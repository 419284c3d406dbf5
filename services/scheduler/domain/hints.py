"""What a node autoscaler would have to add so that the head of the queue starts."""

from __future__ import annotations

from schemas.capacity import CapacityHint
from services.scheduler.domain.cluster import Cluster
from services.scheduler.domain.feasibility import pods_now, pods_when_empty, right_model
from services.scheduler.domain.model import Node, Waiting
from services.scheduler.domain.snapshot import Snapshot

MOST = 5
"""Kinds of nodes that are proposed."""


def hints_for(snapshot: Snapshot, waiting: Waiting) -> tuple[CapacityHint, ...]:
    """Nodes to add, of each kind that the pool knows and that could take a pod; the fewest GPUs first.

    What is free now is counted as far as whole pods fit on it.
    """
    resources = waiting.request.resources
    pods = len(waiting.replicas) * resources.workers
    missing = pods - pods_now(snapshot.cluster, resources, right_model(snapshot.cluster, resources))
    found = []
    for node in _kinds(snapshot.cluster):
        alone = Cluster([node])
        each = pods_when_empty(alone, resources, right_model(alone, resources))
        if each:
            found.append(_hint(waiting, node, max(1, -(-missing // each))))
    return tuple(sorted(found, key=lambda hint: (hint.nodes * hint.gpu_count, hint.nodes, hint.cpu_milli))[:MOST])


def _kinds(cluster: Cluster) -> list[Node]:
    """One healthy node of each kind, in rank order."""
    kinds: dict[tuple[str, int, int, int], Node] = {}
    for node in cluster.nodes:
        healthy = Node("new", node.cpu_milli, node.memory_mib, node.gpu_count, node.gpu_model)
        kinds.setdefault((node.gpu_model, node.gpu_count, node.cpu_milli, node.memory_mib), healthy)
    return list(kinds.values())


def _hint(waiting: Waiting, node: Node, nodes: int) -> CapacityHint:
    gpus = f"{node.gpu_count} x {node.gpu_model}" if node.gpu_count else "no GPU"
    return CapacityHint(
        reservation_id=waiting.reservation_id,
        nodes=nodes,
        gpu_model=node.gpu_model,
        gpu_count=node.gpu_count,
        cpu_milli=node.cpu_milli,
        memory_mib=node.memory_mib,
        detail=f"{nodes} more nodes with {gpus}, {node.cpu_milli} milli-CPU and {node.memory_mib} MiB each would do",
    )
