"""The published table, and runs to compare with it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from bench.placement.arrivals import run_of
from bench.placement.columns import COLUMNS, allocation_at
from bench.placement.expectation import expectation
from bench.placement.experiment import run_policy
from bench.placement.trace import read_nodes, read_pods
from services.scheduler.domain.policies import policy_named
from tests.unit.bench.placement.lists import NODES, pod_list

SEEDS = range(42, 52)
"""Those of the publication."""
AT_100 = {
    "default": {"dot_product": 90.62, "clustering": 91.65, "packing": 91.78, "best_fit": 92.86, "fgd": 95.23},
    "cpu250": {"best_fit": 91.21, "fgd": 93.20},
    "multigpu50": {"best_fit": 95.62, "fgd": 97.09},
}
"""GPU allocation in percent at column 100, mean of the seeds, by trace and policy."""


def means(trace: str, policy: str, seeds: Iterable[int], told: str | Path = "") -> dict[int, float]:
    """Mean allocation by column; `told` is the distribution as the command takes it."""
    nodes, pods = read_nodes(NODES), read_pods(pod_list(trace))
    expected = expectation(policy_named(policy), str(told), pod_list(trace))
    outcomes = [run_policy(run_of(nodes, pods, seed), expected.policy, expected.memory) for seed in seeds]
    return {column: statistics.mean(allocation_at(outcome, column) for outcome in outcomes) for column in COLUMNS}
