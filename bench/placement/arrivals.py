"""Which pods arrive in which order, and which node has which rank: all that the seed decides.

Source: the experiment of "Beware of Fragmentation" (USENIX ATC '23), as its simulator runs it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from bench.placement.trace import Pod
from schemas.resources import WHOLE_GPU_MILLI
from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.shape import Shape

OVERLOAD_PERCENT = 130
"""GPU that is asked for in the end, in percent of what the nodes have."""


@dataclass(frozen=True, slots=True)
class Run:
    """The input of one run."""

    nodes: list[Node]
    """In rank order."""
    arrivals: list[Shape]
    """In order of arrival."""

    @property
    def gpu_milli(self) -> int:
        """What the nodes have."""
        return sum(node.gpu_count for node in self.nodes) * WHOLE_GPU_MILLI


def run_of(nodes: list[Node], pods: list[Pod], seed: int) -> Run:
    """Pods shuffled and topped up to the overload with copies (or thinned out to it), then nodes shuffled."""
    randomness = random.Random(seed)
    limit = sum(node.gpu_count for node in nodes) * WHOLE_GPU_MILLI * OVERLOAD_PERCENT // 100
    pods = sorted(pods)
    arrivals = [pod.shape for pod in pods]
    randomness.shuffle(arrivals)
    asked = sum(shape.total_gpu_milli for shape in arrivals)
    while asked > limit:
        asked -= arrivals.pop(randomness.randrange(len(arrivals))).total_gpu_milli
    arrivals += _copies(randomness, pods, limit - asked)
    return Run(randomness.sample(sorted(nodes, key=lambda node: node.name), len(nodes)), arrivals)


def _copies(randomness: random.Random, pods: list[Pod], room: int) -> list[Shape]:
    """Copies drawn with replacement until the next one would go over the room, in milli-GPU."""
    copies: list[Shape] = []
    while True:
        shape = randomness.choice(pods).shape
        room -= shape.total_gpu_milli
        if room < 0:
            return copies
        copies.append(shape)
