"""Where the published lists are."""

from __future__ import annotations

from pathlib import Path

from bench import placement
from infra import demo

NODES = Path(demo.__file__).parent / "data" / "openb_node_list_gpu_node.csv"
DEFAULT = Path(demo.__file__).parent / "data" / "openb_pod_list_default.csv"
FURTHER = sorted((Path(placement.__file__).parent / "data").glob("openb_pod_list_*.csv.gz"))
"""All other lists."""


def pod_list(name: str) -> Path:
    """The list of a trace."""
    return next(path for path in [DEFAULT, *FURTHER] if f"_{name}.csv" in path.name)
