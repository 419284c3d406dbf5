"""The columns of the published table: how much of the GPUs is allocated when so much was asked for."""

from __future__ import annotations

import numpy as np

from bench.placement.experiment import Outcome

COLUMNS = (90, 95, 100, 130)
"""GPU that was asked for so far, in percent of what the nodes have."""


def allocation_at(outcome: Outcome, column: int) -> float:
    """Mean allocation in percent over the arrivals at which the GPU asked for, rounded to a percent, is `column`.

    Raises `ValueError` when there is no such arrival: the run was too short.
    """
    arrived = np.rint(100 * outcome.asked.cumsum() / outcome.gpu_milli)
    allocated = 100 * outcome.placed.cumsum() / outcome.gpu_milli
    at = arrived == column
    if not at.any():
        raise ValueError(f"no pod arrives at {column} percent")
    return float(allocated[at].mean())


def unallocated_gpus(outcome: Outcome) -> float:
    """GPUs that are still free at the end."""
    return float(outcome.gpu_milli - outcome.placed.sum()) / 1000
