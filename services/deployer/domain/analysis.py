"""Whether a stage is good enough: the canary against the gates, and against stable over the same window."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.deployment import Gates
from schemas.rollout import Measurement, Verdict


@dataclass(frozen=True, slots=True)
class Analysis:
    """A verdict and its reason: one value."""

    verdict: Verdict
    reason: str


def analyse(gates: Gates, canary: Measurement, stable: Measurement | None) -> Analysis:
    """The verdict on one window. A model that answers 200 but slowly fails as well as one that errs."""
    if canary.requests < gates.min_samples:
        return Analysis(Verdict.NO_DATA, f"{canary.requests} requests seen, {gates.min_samples} needed for a verdict")
    broken = _errors(gates, canary) or _latency(gates, canary) or _latency_ratio(gates, canary, stable)
    if broken:
        return Analysis(Verdict.FAIL, broken)
    return Analysis(Verdict.PASS, _summary(canary))


def _errors(gates: Gates, canary: Measurement) -> str | None:
    rate = canary.errors / canary.requests
    if rate <= gates.max_error_rate:
        return None
    return f"error rate {rate:.1%} ({canary.errors} of {canary.requests}) is above {gates.max_error_rate:.1%}"


def _latency(gates: Gates, canary: Measurement) -> str | None:
    if canary.latency_p99_ms <= gates.max_latency_p99_ms:
        return None
    return f"p99 latency {canary.latency_p99_ms:.1f} ms is above {gates.max_latency_p99_ms} ms"


def _latency_ratio(gates: Gates, canary: Measurement, stable: Measurement | None) -> str | None:
    """Stable is a yardstick only when it has seen enough itself."""
    if stable is None or stable.requests < gates.min_samples or stable.latency_p99_ms <= 0:
        return None
    ratio = canary.latency_p99_ms / stable.latency_p99_ms
    if ratio <= gates.max_latency_ratio:
        return None
    return (
        f"p99 latency {canary.latency_p99_ms:.1f} ms is {ratio:.2f} times stable's {stable.latency_p99_ms:.1f} ms, "
        f"above {gates.max_latency_ratio:.2f}"
    )


def _summary(canary: Measurement) -> str:
    return f"within all gates: {canary.requests} requests, {canary.errors} errors, p99 {canary.latency_p99_ms:.1f} ms"
