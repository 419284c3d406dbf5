"""The figures that a report is made of."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statistics import Comparison, Latencies, Rates, median, percentile, shares

samples = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=200)


@settings(deadline=None)  # the first example may wait for numpy
@given(samples, st.floats(min_value=0, max_value=100))
def test_a_percentile_is_numpys(values: list[float], percent: float) -> None:
    assert percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)))


@given(samples)
def test_a_percentile_grows_with_its_percent_and_stays_within_the_samples(values: list[float]) -> None:
    found = [percentile(values, percent) for percent in range(0, 101, 5)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(values), max(values))


@given(samples)
def test_the_50th_percentile_is_the_median_in_whatever_order(values: list[float]) -> None:
    assert percentile(values[::-1], 50) == pytest.approx(median(values))
    assert median(values) == statistics.median(values)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 100.1)])
def test_a_percentile_of_nothing_or_out_of_range_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


def test_percentiles_by_hand() -> None:
    assert percentile([10, 20, 30, 40], 50) == 25
    assert percentile([10, 20, 30, 40], 25) == 17.5
    assert percentile([7], 99) == 7


def test_latencies_show_the_slow_ones() -> None:
    latencies = Latencies(tuple([10.0] * 98 + [100.0, 200.0]))
    assert (latencies.p50, latencies.slowest) == (10, 200)
    assert 100 < latencies.p99 < 200


@given(st.dictionaries(st.text(max_size=3), st.floats(min_value=0, max_value=1e6), min_size=1))
def test_shares_add_up_to_one_unless_there_is_nothing_to_share(parts: dict[str, float]) -> None:
    found = shares(parts)
    assert found.keys() == parts.keys()
    assert sum(found.values()) == pytest.approx(1 if sum(parts.values()) else 0)


def test_shares_of_nothing() -> None:
    assert shares({}) == {}


class TestComparison:
    """The kit beside the baseline."""

    def compare(self, kit: tuple[float, ...], baseline: tuple[float, ...], aim: float = 0.5) -> Comparison:
        return Comparison(Rates(kit), Rates(baseline), aim)

    def test_the_ratio_is_that_of_the_medians_so_that_one_disturbed_round_does_not_count(self) -> None:
        comparison = self.compare((50, 60, 1), (100, 100, 100))
        assert comparison.ratio == 0.5
        assert comparison.ratios == (0.5, 0.6, 0.01)
        assert comparison.best_ratio == 0.6

    def test_a_round_is_compared_with_its_own_partner(self) -> None:
        comparison = self.compare((50, 5), (100, 10))  # the machine was ten times slower in the second round
        assert comparison.ratios == (0.5, 0.5)

    def test_an_aim_that_is_just_reached_is_reached(self) -> None:
        assert self.compare((50,), (100,), aim=0.5).is_met
        assert not self.compare((50,), (100,), aim=0.51).is_met

    def test_both_must_have_run_as_often(self) -> None:
        with pytest.raises(ValueError, match="same number of rounds"):
            self.compare((1, 2), (1,))

    @given(samples, st.floats(min_value=0.01, max_value=100))
    def test_a_kit_that_is_so_many_times_as_fast_has_that_ratio(self, baseline: list[float], factor: float) -> None:
        comparison = self.compare(tuple(rate * factor for rate in baseline), tuple(baseline))
        assert comparison.ratio == pytest.approx(factor)
        assert comparison.ratios == pytest.approx((factor,) * len(baseline))


def test_the_spread_tells_how_far_rounds_lie_apart() -> None:
    assert Rates((100, 100, 100)).spread == 0
    assert Rates((80, 100, 120)).spread == pytest.approx(0.4)
