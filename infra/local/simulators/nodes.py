"""The nodes of the simulated cluster, from a CSV with the columns of the openb trace; they can fail, go and come."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Node(BaseModel):
    """One node's allocatable capacity, and what of it may not be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    cpu_milli: int = Field(ge=0)
    memory_mib: int = Field(ge=0)
    gpu_count: int = Field(ge=0, le=64)
    gpu_model: str = ""
    """Empty without GPU."""
    pool: str = "default"
    failed_devices: tuple[int, ...] = ()
    """Indexes of GPU devices that are broken: pods on them are not ready until they are repaired."""
    is_cordoned: bool = False
    """Whether it takes nothing new; only told, the simulator does as it is told."""
    zone: str = ""

    def as_json(self) -> dict[str, object]:
        """The node as the control API shows it."""
        return self.model_dump(mode="json")


class Nodes:
    """The nodes that are there now. Without any from the start, pods run anywhere."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._known = dict(self._nodes)
        self.changed: Callable[[], None] = lambda: None
        """Called after each change."""

    def listed(self) -> list[Node]:
        """Every node, in the order that they came."""
        return list(self._nodes.values())

    def put(self, name: str, changes: dict[str, object]) -> Node:
        """Change a node, bring a removed one back, or add one; raises ValueError when the whole is no node."""
        before = self._nodes.get(name) or self._known.get(name)
        node = Node.model_validate({**(before.model_dump() if before else {}), **changes, "name": name})
        failed = tuple(sorted(set(node.failed_devices)))
        if any(not 0 <= device < node.gpu_count for device in failed):
            raise ValueError(f"{name} has {node.gpu_count} devices, not {failed}")
        node = node.model_copy(update={"failed_devices": failed})
        self._nodes[name] = self._known[name] = node
        self.changed()
        return node

    def remove(self, name: str) -> None:
        """Take a node away with everything on it; raises KeyError when there is none."""
        del self._nodes[name]
        self.changed()

    def is_there(self, name: str) -> bool:
        """Whether pods can be on the node now."""
        return not self._known or name in self._nodes

    def works(self, name: str, devices: Iterable[int]) -> bool:
        """Whether the node is there and none of these devices is broken."""
        node = self._nodes.get(name)
        return not self._known if node is None else not set(devices) & set(node.failed_devices)

    def has(self, name: str, devices: Iterable[int]) -> bool:
        """Whether there are, or were, such devices: who names others is at fault."""
        node = self._known.get(name)
        return not self._known if node is None else all(device < node.gpu_count for device in devices)


def read_nodes(path: Path) -> list[Node]:
    """The nodes in the file, in its order: sn, cpu_milli, memory_mib, gpu, model and, optional, pool and zone.

    Raises ValueError that names the line at fault.
    """
    nodes = []
    with path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                nodes.append(_node(row))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}:{number}: not a node: {error!r}") from None
    return nodes


def _node(row: dict[str, str]) -> Node:
    if not row["sn"]:
        raise ValueError("sn is empty")
    cpu_milli, memory_mib, gpu_count = (int(row[name]) for name in ("cpu_milli", "memory_mib", "gpu"))
    return Node(
        name=row["sn"],
        cpu_milli=cpu_milli,
        memory_mib=memory_mib,
        gpu_count=gpu_count,
        gpu_model=row.get("model") or "",
        pool=row.get("pool") or "default",
        zone=row.get("zone") or "",
    )
