"""random: any node that fits, each as likely as the others; any fitting device on it.

No generator: the draw is a hash of the node, what is free on it and how many pods were asked for so far, so that the
same past gives the same choice again.
"""

from __future__ import annotations

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.draws import draws
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.scoring import ScoringChooser

REMEMBERED_EVERY = 500
"""Pods after which the memory counts them."""
DRAWS = 1_000_000
"""Scores are 0 to 999,999."""


class Random:
    """Knows nothing and prefers nothing; what a policy must beat."""

    name = "random"
    version = "1"
    idea = "random one"

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`, going on from the count that an earlier chooser left."""
        return RandomChooser(cluster, int(memory or 0))


class RandomChooser(ScoringChooser):
    """Draws anew for every pod that was asked for."""

    def __init__(self, cluster: Cluster, pods: int) -> None:
        super().__init__(cluster, self)
        self.memory = str(pods) if pods else ""
        self._pods = self._remembered = pods

    def saw(self, shape: Shape, pods: int = 1) -> None:
        """Counts the pods."""
        self._pods += pods
        if self._pods - self._remembered >= REMEMBERED_EVERY:
            self._remembered = self._pods
            self.memory = str(self._pods)

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """A draw for each row."""
        state = cluster.cpu_free[rows] * 31 + cluster.gpu_free[rows] * 17 + cluster.memory_free[rows]
        return draws(draws(rows + self._pods * 1_000_003) + state) % DRAWS

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """Fitting devices in the order of their draws."""
        fitting = np.flatnonzero(cluster.device_free[row] >= shape.gpu_milli)
        order = fitting[np.argsort(draws(fitting + self._pods * 1_000_003), kind="stable")]
        return tuple(sorted(int(device) for device in order[: shape.gpu_count]))

    def _among(self, shape: Shape, allowed: Flags | None) -> Ints:
        self.forget()
        return super()._among(shape, allowed)
