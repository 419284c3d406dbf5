"""Makes a policy ready to decide at full speed: what it compiles is compiled, or read from where it was kept.

The first time on a machine that takes seconds, which nobody must spend while a pool waits or a transaction is open.
`python -m services.scheduler.domain.policies.warm` does it for all policies, for images and set-ups.
"""

from __future__ import annotations

from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies import POLICIES, Policy

NODES = (Node("gpus", 64_000, 262_144, 8, "A100"), Node("none", 64_000, 262_144, 0, ""))
SHAPES = (Shape(1000, 1024, 0, 0), Shape(1000, 1024, 1, 500), Shape(1000, 1024, 2, 1000, ("A100",)))
"""One of each kind that is computed apart."""
PODS = 2000
"""More than any policy waits for before it learns."""


def warm_up(policy: Policy) -> None:
    """Decide about a few pods on two nodes, before and after the policy has learned from them."""
    chooser = policy.chooser(Cluster(NODES))
    for _ in range(2):
        for shape in SHAPES:
            chooser.best(shape)
            chooser.ranking(shape, 2)
            chooser.saw(shape, PODS)


if __name__ == "__main__":
    for each in POLICIES.values():
        warm_up(each)
