"""The published measure, on runs small enough to reckon by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.placement.arrivals import Run
from bench.placement.columns import allocation_at, unallocated_gpus
from bench.placement.experiment import Outcome, run_policy
from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies import policy_named


def test_a_column_is_the_mean_over_the_arrivals_that_round_to_it() -> None:
    """Of 100 GPUs; 89.6 and 90.4 percent asked for are both column 90."""
    asked = np.array([88_000, 1_600, 800, 9_600])
    outcome = Outcome(asked, np.array([88_000, 0, 800, 9_600]), 100_000, 1.0)
    assert allocation_at(outcome, 90) == pytest.approx((88.0 + 88.8) / 2)
    assert allocation_at(outcome, 100) == pytest.approx(98.4)
    assert unallocated_gpus(outcome) == pytest.approx(1.6)
    with pytest.raises(ValueError, match="no pod arrives at 95 percent"):
        allocation_at(outcome, 95)


def test_a_pod_that_fits_nowhere_is_dropped_and_the_next_is_offered() -> None:
    shapes = [Shape(1, 1, 1, 600), Shape(1, 1, 1, 600), Shape(1, 1, 1, 400), Shape(1, 1, 0, 0)]
    outcome = run_policy(Run([Node("a", 8000, 8000, 1, "T4")], shapes), policy_named("best_fit"))
    assert outcome.asked.tolist() == [600, 600, 400, 0]
    assert outcome.placed.tolist() == [600, 0, 400, 0]
    assert outcome.seconds > 0
