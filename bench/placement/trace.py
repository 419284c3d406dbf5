"""Reads node and pod lists in the columns of the openb trace.

Source of the format: github.com/alibaba/clusterdata, folder cluster-trace-gpu-v2023. A column that a file lacks counts
as empty. A file whose name ends in `.gz` is unpacked.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import NamedTuple

from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.shape import Shape


class Pod(NamedTuple):
    """One request of a trace."""

    name: str
    shape: Shape


def read_nodes(path: Path) -> list[Node]:
    """The nodes of the list, by name. Raises `OSError` and, for what is no node list, `ValueError`."""
    nodes = [
        Node(row["sn"], int(row["cpu_milli"]), int(row["memory_mib"]), int(row["gpu"]), row["model"])
        for row in _rows(path, "sn", "cpu_milli", "memory_mib", "gpu", "model")
    ]
    return sorted(nodes, key=lambda node: node.name)


def read_pods(path: Path) -> list[Pod]:
    """The pods of the list, by name. Raises `OSError` and, for what is no pod list, `ValueError`."""
    pods = [
        Pod(row["name"], _shape(row)) for row in _rows(path, "name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
    ]
    return sorted(pods, key=lambda pod: pod.name)


def trace_name(path: Path) -> str:
    """`openb_pod_list_gpuspec25.csv.gz` is the trace `gpuspec25`."""
    return path.name.removesuffix(".gz").removesuffix(".csv").removeprefix("openb_pod_list_")


def _shape(row: dict[str, str]) -> Shape:
    models = tuple(sorted(filter(None, (row.get("gpu_spec") or "").split("|"))))
    count = int(row["num_gpu"])
    milli = int(row["gpu_milli"] or 0) if count else 0
    return Shape(int(row["cpu_milli"]), int(row["memory_mib"]), count, milli, models if count else ())


def _rows(path: Path, *needed: str) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = set(needed) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}")
        return list(reader)
