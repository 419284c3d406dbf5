"""Nodes as they were told last, and what is new about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.node import NodeEvent, NodeObserved, NodeRemoved


@dataclass(frozen=True, slots=True)
class Node:
    """One node's allocatable capacity, and what of it may not be used."""

    name: str
    pool: str
    cpu_milli: int
    memory_mib: int
    gpu_count: int
    gpu_model: str
    """Empty without GPU."""
    failed_devices: tuple[int, ...] = ()
    """Indexes of GPU devices that are broken, rising."""
    is_cordoned: bool = False
    """Whether it takes nothing new."""
    zone: str = ""
    """Where it stands; empty when nothing is said."""


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What is new about one node."""

    name: str
    node: Node | None
    """None when it is gone."""

    @property
    def event(self) -> NodeEvent:
        """The change as an event."""
        if self.node is None:
            return NodeRemoved(node=self.name, reason="the cluster does not list it any more")
        return NodeObserved(
            node=self.node.name,
            pool=self.node.pool,
            cpu_milli=self.node.cpu_milli,
            memory_mib=self.node.memory_mib,
            gpu_count=self.node.gpu_count,
            gpu_model=self.node.gpu_model,
            failed_devices=self.node.failed_devices,
            is_cordoned=self.node.is_cordoned,
            zone=self.node.zone,
        )


def changes_between(known: Iterable[Node], seen: Iterable[Node]) -> tuple[NodeChange, ...]:
    """New and changed nodes, then gone ones, each by name."""
    before = {node.name: node for node in known}
    now = {node.name: node for node in seen}
    fresh = [NodeChange(name, now[name]) for name in sorted(now) if before.get(name) != now[name]]
    gone = [NodeChange(name, None) for name in sorted(before.keys() - now.keys())]
    return (*fresh, *gone)
