"""Decisions in words, with numbers, for people."""

from __future__ import annotations

from schemas.resources import Allocation, Resources
from services.scheduler.domain.cluster import Cluster
from services.scheduler.domain.decision import Alternative
from services.scheduler.domain.place import Placement, Ranking
from services.scheduler.domain.policies.interface import Policy

ALTERNATIVES = 3
"""How many of the other nodes are named."""
PLACES = 5
"""How many of the replicas' places are named."""
LONGEST = 2000
"""Characters that the contract allows."""


def demand(resources: Resources) -> str:
    """What one replica needs, such as `2 x 1000 milli-GPU (A100 or V100), 8000 milli-CPU, 32768 MiB`."""
    parts = []
    if resources.gpu_count:
        models = f" ({' or '.join(resources.gpu_models)})" if resources.gpu_models else ""
        parts.append(f"{resources.gpu_count} x {resources.gpu_milli} milli-GPU{models}")
    parts += [f"{resources.cpu_milli} milli-CPU", f"{resources.memory_mib} MiB"]
    return ", ".join(parts)


def place_name(allocation: Allocation) -> str:
    """Where one replica goes, such as `node-1 devices 0,1`."""
    if not allocation.devices:
        return allocation.node
    word = "device" if len(allocation.devices) == 1 else "devices"
    return f"{allocation.node} {word} {','.join(map(str, allocation.devices))}"


def alternatives_of(cluster: Cluster, ranking: Ranking) -> tuple[Alternative, ...]:
    """The best nodes that the first replica did not go to, and why."""
    best = int(ranking.scores[0])
    others = list(zip(ranking.rows.tolist(), ranking.scores.tolist(), strict=True))[1 : 1 + ALTERNATIVES]
    return tuple(Alternative(cluster.nodes[row].name, score, _why(score, best)) for row, score in others)


def _why(score: int, best: int) -> str:
    return "same score, higher rank" if score == best else f"score {score} below {best}"


def explain(cluster: Cluster, placement: Placement, policy: Policy) -> str:
    """Why the replicas go where they go."""
    places = [place_name(allocation) for allocation in placement.allocations]
    named = "; ".join(places[:PLACES]) + (f"; and {len(places) - PLACES} more" if len(places) > PLACES else "")
    first = placement.first
    others = ", ".join(f"{other.node} ({other.why})" for other in alternatives_of(cluster, first))
    text = f"placed on {named}: {policy.idea} of {len(first.rows)} feasible nodes among {cluster.present}"
    return f"{text}; best alternatives: {others}"[:LONGEST] if others else f"{text}; no alternative"[:LONGEST]
