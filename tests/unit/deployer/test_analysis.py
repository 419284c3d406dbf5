"""Verdicts: limits, and the comparison with stable over the same window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.deployment import Gates
from schemas.rollout import Measurement, Verdict
from services.deployer.domain.analysis import analyse

GATES = Gates(max_error_rate=0.05, max_latency_p99_ms=1000, max_latency_ratio=2.0, min_samples=20)


def measured(requests: int = 100, errors: int = 0, p99: float = 20.0) -> Measurement:
    return Measurement(requests=requests, errors=errors, latency_p99_ms=p99)


@pytest.mark.parametrize(
    ("canary", "stable", "verdict", "reason"),
    [
        (measured(), measured(), Verdict.PASS, "within all gates"),
        (measured(), None, Verdict.PASS, "within all gates"),
        (measured(requests=19), measured(), Verdict.NO_DATA, "19 requests seen, 20 needed"),
        (measured(requests=0), None, Verdict.NO_DATA, "0 requests seen"),
        (measured(errors=5), measured(), Verdict.PASS, "5 errors"),
        (measured(errors=6), measured(), Verdict.FAIL, "error rate 6.0% (6 of 100) is above 5.0%"),
        (measured(p99=1000.0), None, Verdict.PASS, "p99 1000.0 ms"),
        (measured(p99=1001.0), None, Verdict.FAIL, "p99 latency 1001.0 ms is above 1000 ms"),
        (measured(p99=40.0), measured(p99=20.0), Verdict.PASS, "within all gates"),
        (measured(p99=41.0), measured(p99=20.0), Verdict.FAIL, "2.05 times stable's 20.0 ms"),
        (measured(p99=900.0), measured(requests=19, p99=20.0), Verdict.PASS, "within all gates"),
        (measured(p99=900.0), measured(p99=0.0), Verdict.PASS, "within all gates"),
    ],
)
def test_verdict(canary: Measurement, stable: Measurement | None, verdict: Verdict, reason: str) -> None:
    found = analyse(GATES, canary, stable)
    assert found.verdict is verdict
    assert reason in found.reason


@given(requests=st.integers(0, 1000), errors=st.integers(0, 1000), p99=st.floats(0, 5000), more=st.integers(0, 500))
def test_worse_is_never_judged_better(requests: int, errors: int, p99: float, more: int) -> None:
    errors = min(errors, requests)
    better = analyse(GATES, measured(requests, errors, p99), measured())
    worse = analyse(GATES, measured(requests, min(requests, errors + more), p99 + more), measured())
    assert not (better.verdict is Verdict.FAIL and worse.verdict is Verdict.PASS)
