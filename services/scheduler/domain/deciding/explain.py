"""Decisions in words, with numbers, for people."""

from __future__ import annotations

from schemas.resources import Allocation, Resources
from services.scheduler.domain.decision import Alternative
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.placing.place import Placement
from services.scheduler.domain.policies.interface import Policy, Ranking

PLACES = 5
"""How many of the pods' places are named."""
LONGEST = 2000
"""Characters that the contract allows."""


def demand(resources: Resources) -> str:
    """What one pod needs, such as `2 x 1000 milli-GPU (A100 or V100), 8000 milli-CPU, 32768 MiB`."""
    parts = []
    models = f" ({' or '.join(resources.gpu_models)})" if resources.gpu_models else ""
    if resources.mig_profile:
        parts.append(f"a {resources.mig_profile} slice{models}")
    elif resources.gpu_count:
        parts.append(f"{resources.gpu_count} x {resources.gpu_milli} milli-GPU{models}")
    parts += [f"{resources.cpu_milli} milli-CPU", f"{resources.memory_mib} MiB"]
    return ", ".join(parts)


def place_name(allocation: Allocation) -> str:
    """Where one pod goes, such as `node-1 devices 0,1` or `node-1 device 3 slice 1g.10gb at 2`."""
    if not allocation.devices:
        return allocation.node
    word = "device" if len(allocation.devices) == 1 else "devices"
    place = f"{allocation.node} {word} {','.join(map(str, allocation.devices))}"
    return (
        place if allocation.mig_start is None else f"{place} slice {allocation.mig_profile} at {allocation.mig_start}"
    )


def alternatives_of(cluster: Cluster, ranking: Ranking) -> tuple[Alternative, ...]:
    """The best nodes that the first pod did not go to, and why."""
    ranked = list(zip(ranking.rows.tolist(), ranking.scores.tolist(), strict=True))
    return tuple(Alternative(cluster.nodes[row].name, score, _why(score, ranked[0][1])) for row, score in ranked[1:])


def _why(score: int, best: int) -> str:
    return "same score, higher rank" if score == best else f"score {score} below {best}"


def explain(cluster: Cluster, placement: Placement, policy: Policy) -> str:
    """Why the pods go where they go."""
    places = [place_name(allocation) for allocation in placement.allocations]
    named = "; ".join(places[:PLACES]) + (f"; and {len(places) - PLACES} more" if len(places) > PLACES else "")
    return f"placed on {named}: {_choice(cluster, placement, policy)}"[:LONGEST]


def _choice(cluster: Cluster, placement: Placement, policy: Policy) -> str:
    first = placement.first
    if not first.feasible:
        is_slice = placement.allocations[0].mig_start is not None
        return "the slice that leaves the most legal placements" if is_slice else "what was kept for it"
    others = ", ".join(f"{other.node} ({other.why})" for other in alternatives_of(cluster, first))
    text = f"{policy.idea} of {first.feasible} feasible nodes among {cluster.present}"
    return f"{text}; best alternatives: {others}" if others else f"{text}; no alternative"
