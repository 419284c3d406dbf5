"""What the runs of several seeds came to together."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.placement.columns import COLUMNS, allocation_at, unallocated_gpus
from bench.placement.experiment import Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one policy on one trace."""

    policy: str
    trace: str
    distribution: str
    """What the policy was told of the pods to come."""
    nodes: int
    outcomes: Mapping[int, Outcome]
    """By seed; at least one."""
    compile_seconds: float
    """Time until the first decisions: compilation, or the load of what was compiled before."""
    plain_fgd: float | None
    """Decisions a second of fgd in plain numpy, in the same process; None when not measured."""

    @property
    def decisions_per_second(self) -> float:
        """Over all seeds, everything included that happens between the first pod and the last decision."""
        return sum(run.asked.size for run in self.outcomes.values()) / sum(
            run.seconds for run in self.outcomes.values()
        )

    def allocations(self, column: int) -> list[float]:
        """Percent of the GPUs allocated at this column, one figure a seed."""
        return [allocation_at(outcome, column) for outcome in self.outcomes.values()]

    def as_json(self) -> dict[str, Any]:
        """Percents with three decimals; the deviation is that of a sample."""
        by_column = {str(column): self.allocations(column) for column in COLUMNS}
        return {
            "policy": self.policy,
            "trace": self.trace,
            "distribution": self.distribution,
            "nodes": self.nodes,
            "seeds": list(self.outcomes),
            "allocation_pct": {column: round(statistics.mean(found), 3) for column, found in by_column.items()},
            "per_seed": {
                str(seed): {column: round(found[number], 3) for column, found in by_column.items()}
                for number, seed in enumerate(self.outcomes)
            },
            "sd": {column: round(_deviation(found), 3) for column, found in by_column.items()},
            "unallocated_gpus": round(statistics.mean(map(unallocated_gpus, self.outcomes.values())), 2),
            "decisions_per_second": round(self.decisions_per_second, 1),
            "compile_seconds": round(self.compile_seconds, 2),
            **self._baseline(),
        }

    def _baseline(self) -> dict[str, Any]:
        if self.plain_fgd is None:
            return {}
        ratio = self.decisions_per_second / self.plain_fgd
        return {"baseline": {"numpy_fgd_per_second": round(self.plain_fgd, 1), "ratio": round(ratio, 2)}}


def _deviation(found: list[float]) -> float:
    return statistics.stdev(found) if len(found) > 1 else 0.0
