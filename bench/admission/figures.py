"""The figures of a run, beside those that Kueue publishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from bench.admission.load import CLASSES, NOMINAL, QUEUES
from bench.admission.simulation import Outcomes

KUEUE = {
    "admissions_per_second": 43,
    "nominal_usage_pct": 58.7,
    "mean_wait_ms": {"large": 6_666, "medium": 76_768, "small": 215_468},
}
"""Averages of the trial runs in `configs/baseline/rangespec.yaml`; the rate is 15,000 admissions in 351 s."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What all cohorts together came to."""

    jobs: int
    finished: int
    admissions: int
    preemptions: int
    nominal_usage_pct: float
    """Of the quotas, over the time until the last job ended; only what was not lost to preemption."""
    mean_wait_ms: dict[str, float]
    """Virtual milliseconds from creation to the first admission, by class."""
    makespan_ms: int
    seconds: float
    """Processor time that the scheduler took."""
    longest_ms: float
    """Processor time of the longest step."""

    @property
    def admissions_per_second(self) -> float:
        """Admissions, also of what was preempted later, a second of processor time."""
        return self.admissions / self.seconds


def figures_of(cohorts: Sequence[Outcomes]) -> Figures:
    """The figures of these cohorts. Raises `statistics.StatisticsError` when a class was never admitted."""
    jobs = [job for cohort in cohorts for job in cohort.jobs]
    spans = [max((job.finished or 0) for job in cohort.jobs) for cohort in cohorts]
    useful = sum(job.kind.units * job.kind.runtime for job in jobs if job.finished is not None)
    waits = {
        kind.name: mean(job.admitted - job.created for job in jobs if job.kind is kind and job.admitted is not None)
        for kind in CLASSES
    }
    return Figures(
        jobs=len(jobs),
        finished=sum(job.finished is not None for job in jobs),
        admissions=sum(cohort.admissions for cohort in cohorts),
        preemptions=sum(cohort.preemptions for cohort in cohorts),
        nominal_usage_pct=100 * useful / (NOMINAL * QUEUES * sum(spans)),
        mean_wait_ms=waits,
        makespan_ms=max(spans),
        seconds=sum(cohort.seconds for cohort in cohorts),
        longest_ms=1000 * max(cohort.longest for cohort in cohorts),
    )
