"""The report says the same to programs and to people."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from bench.machine import Machine
from bench.pipeline.latency import Latency, Travel
from bench.pipeline.report import Report, show
from bench.pipeline.sizes import QUICK
from bench.stages import Measured
from bench.statistics import Comparison, Latencies, Rates

MACHINE = Machine(2, 4096, "Linux 6 x86_64", {"python": "3.11"})
FAST = Measured(
    Comparison(Rates((60.0, 80.0)), Rates((100.0, 100.0)), 0.5), {"claim": 3.0, "commit": 1.0}, {"claim": 2.0}
)


def travel(*milliseconds: float) -> Travel:
    """Requests that took so long."""
    return Travel(Latencies(milliseconds), Latencies((1.0,)), {"rest": 5.0})


def report(measured: Measured = FAST, latency: Latency | None = None) -> Report:
    """One of a single comparison."""
    return Report(datetime(2026, 1, 1, tzinfo=UTC), MACHINE, (0.1, 0.2), QUICK, {"handling": measured}, latency)


def latency(idle: Travel) -> Latency:
    """One with this idle load."""
    return Latency(idle, replace(travel(500.0), failed=3), Latencies((2.0,)), Latencies((1.0,)))


def test_programs_get_rates_ratio_aim_and_where_the_time_went() -> None:
    told = json.loads(json.dumps(report().as_json()))
    result = told["results"]["handling"]
    assert (result["kit"]["median"], result["baseline"]["median"]) == (70, 100)
    assert (result["ratio"], result["ratios"], result["aim"], result["is_met"]) == (0.7, [0.6, 0.8], 0.5, True)
    assert told["where"]["handling"]["kit_us"] == {"claim": 3.0, "commit": 1.0}
    assert told["machine"]["load_before"] == 0.1
    assert told["is_met"]


def test_programs_get_latencies_with_their_floor_and_failures() -> None:
    told = report(latency=latency(travel(10.0, 20.0))).as_json()["results"]["latency"]
    assert told["idle"]["to_event"] == {"p50": 15.0, "p99": 19.9, "slowest": 20.0, "count": 2}
    assert told["loaded"]["failed"] == 3
    assert told["floor"]["round_trip"]["p50"] == 2


@pytest.mark.parametrize(("milliseconds", "is_met"), [((49.0,), True), ((50.0,), False), ((1.0, 1.0, 200.0), False)])
def test_the_idle_latency_has_two_aims(milliseconds: tuple[float, ...], is_met: bool) -> None:
    assert report(latency=latency(travel(*milliseconds))).is_met is is_met


def test_one_missed_aim_is_told_for_the_whole() -> None:
    slow = replace(FAST, comparison=replace(FAST.comparison, aim=0.9))
    assert not report(slow).is_met


def test_people_get_the_same_figures() -> None:
    printed = StringIO()
    show(report(latency=latency(travel(10.0, 20.0))), Console(file=printed, width=120))
    text = printed.getvalue()
    assert "0.70" in text
    assert "0.50 reached" in text
    assert "75%" in text  # of the kit's 4 µs, 3 are the claim
    assert "3 failed" in text
