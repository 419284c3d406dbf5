"""What a policy is: it chooses one node, and devices on it, for one pod at a time.

A policy has no state of its own. At work on a cluster it is a `Chooser`, which keeps what it has computed per shape and
brings it up to date with the rows that changed (`Cluster.changed_since`): a decision touches one node, so only that
node's scores are computed anew.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import Shape


class Choice(NamedTuple):
    """Where a pod goes."""

    row: int
    """Row of the node."""
    devices: tuple[int, ...]
    """Indexes of `gpu_count` devices of the node, ascending; empty without GPU."""
    score: int
    """The highest score; among equals the lowest row won."""


class Ranking(NamedTuple):
    """The best of the nodes that could take a pod, for explanations."""

    rows: Ints
    """Rows of the best nodes, best first."""
    scores: Ints
    """Their scores, same shape. Integers: a tie must be a tie on every machine."""
    feasible: int
    """How many nodes could take it, all of them."""


class Chooser(Protocol):
    """A policy at work on one cluster."""

    memory: str
    """What it remembers of requests and of the cluster's past, to go on with after a restart (`Policy.chooser`). It
    changes now and then only; empty for a policy that remembers nothing."""

    def best(self, shape: Shape, allowed: Flags | None = None) -> Choice | None:
        """The place for one pod, among the rows that are `allowed` (all when None); None when it fits nowhere."""

    def ranking(self, shape: Shape, most: int, allowed: Flags | None = None) -> Ranking:
        """The `most` best nodes for one pod; the first one is that of `best`."""

    def saw(self, shape: Shape, pods: int = 1) -> None:
        """Pods of this shape were asked for, placed or not: they belong to the pool's recent past from now on."""


class Policy(Protocol):
    """A way to choose."""

    name: str
    """How settings and decisions name it."""
    version: str
    """Changes whenever the same inputs could give another choice."""
    idea: str
    """Its idea in a few words, for explanations: `the <idea> of 812 feasible nodes`."""

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`, with the memory that an earlier chooser left."""
