"""What a policy is: integer scores for nodes, and a choice of devices on the node that won."""

from __future__ import annotations

from typing import Protocol

from schemas.resources import Resources
from services.scheduler.domain.cluster import Cluster, Ints


class Policy(Protocol):
    """Chooses among feasible nodes. The highest score wins; on a tie the lowest rank."""

    name: str
    """How settings and decisions name it."""
    version: str
    """Changes whenever the same inputs could give another choice."""
    idea: str
    """Its idea in a few words, for explanations: `the <idea> of 812 feasible nodes`."""

    def scores(self, cluster: Cluster, rows: Ints, resources: Resources) -> Ints:
        """A score for each of the feasible nodes `rows`, same shape. Integers: a tie must be a tie on every machine."""

    def devices(self, free: Ints, resources: Resources) -> tuple[int, ...]:
        """`gpu_count` devices of the node with these free thousandths; at least so many have `gpu_milli` free."""
