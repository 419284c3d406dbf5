"""One seed of the published experiment: near the published means, and above them with our own policy."""

from __future__ import annotations

import pytest

from tests.unit.bench.placement.published import AT_100, means

ONE_SEED = 0.6
"""How far one seed may lie from the mean of ten, in percent of all GPUs: about three standard deviations."""


@pytest.mark.parametrize("policy", ["best_fit", "fgd"])
def test_a_published_policy_is_near_its_published_figure(policy: str) -> None:
    assert means("default", policy, [42])[100] == pytest.approx(AT_100["default"][policy], abs=ONE_SEED)


def test_default_fills_more_than_the_best_published_policy() -> None:
    found = means("default", "default", [42])
    assert found[90] > 89.9
    assert found[95] > 94.7
    assert found[100] > 95.9
    assert found[130] > 95.9
