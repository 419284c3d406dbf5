"""The nodes of the simulated cluster, from a CSV with the columns of the openb trace."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Node:
    """One node's allocatable capacity."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpu_count: int
    gpu_model: str
    """Empty without GPU."""
    pool: str = "default"

    def as_json(self) -> dict[str, str | int]:
        """The node as the control API shows it."""
        return asdict(self)


def read_nodes(path: Path) -> list[Node]:
    """The nodes in the file, in its order: sn, cpu_milli, memory_mib, gpu, model and, optional, pool.

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
    amounts = [int(row[name]) for name in ("cpu_milli", "memory_mib", "gpu")]
    if min(amounts) < 0:
        raise ValueError("an amount is negative")
    cpu_milli, memory_mib, gpu_count = amounts
    return Node(row["sn"], cpu_milli, memory_mib, gpu_count, row.get("model") or "", row.get("pool") or "default")
