"""The stopwatch gives each span of time to the stage that ended it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stages import Stopwatch


def stopwatch(*moments: float) -> Stopwatch:
    """One whose clock shows these moments, one at each look."""
    return Stopwatch(iter(moments).__next__)


def test_a_stage_gets_the_time_since_the_mark_before() -> None:
    watch = stopwatch(0, 1, 3, 6)
    for stage in ("claim", "commit", "claim"):
        watch.mark(stage)
    assert watch.seconds == {"claim": 4, "commit": 2}


def test_time_before_a_restart_belongs_to_no_stage() -> None:
    watch = stopwatch(0, 100, 101)
    watch.restart()
    watch.mark("claim")
    assert watch.seconds == {"claim": 1}


def test_time_per_message_is_in_microseconds() -> None:
    watch = stopwatch(0, 0.5)
    watch.mark("claim")
    assert watch.per_message(1000) == {"claim": 500}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(min_value=0, max_value=10)), max_size=50))
def test_no_time_is_lost(steps: list[tuple[str, float]]) -> None:
    watch = stopwatch(*moments(seconds for _, seconds in steps))
    for stage, _ in steps:
        watch.mark(stage)
    assert sum(watch.seconds.values()) == pytest.approx(sum(seconds for _, seconds in steps), abs=1e-6)


def moments(spans: Iterable[float]) -> list[float]:
    """Points in time, from 0, that lie these spans apart."""
    found = [0.0]
    for span in spans:
        found.append(found[-1] + span)
    return found
