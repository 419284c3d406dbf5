"""Kueue's baseline load on a virtual clock: everything finishes, little is idle, and who is urgent waits less."""

from __future__ import annotations

import pytest

from bench.admission.__main__ import as_dict
from bench.admission.figures import Figures, figures_of
from bench.admission.load import CLASSES, COHORTS, QUEUES, jobs
from bench.admission.simulation import Cohort


def check(figures: Figures) -> None:
    assert figures.finished == figures.jobs
    assert figures.nominal_usage_pct >= 50
    waits = figures.mean_wait_ms
    assert waits["large"] < waits["medium"] < waits["small"]
    assert figures.admissions == figures.jobs + figures.preemptions


def test_the_load_is_that_of_kueue() -> None:
    load = [job for cohort in range(COHORTS) for job in jobs(cohort)]
    assert len(load) == 15_000
    assert len({job.tenant_id for job in load}) == COHORTS * QUEUES
    assert [sum(job.kind is kind for job in load) for kind in CLASSES] == [10_500, 3_000, 1_500]
    assert [job.created for job in jobs(0)] == sorted(job.created for job in jobs(0))


def test_a_cohort_finishes_and_the_large_wait_least() -> None:
    figures = figures_of([Cohort(0).run()])
    check(figures)
    assert figures.jobs == 3_000
    assert as_dict(figures)["finished"] == 3_000


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_all_15000_finish_and_the_large_wait_least() -> None:
    figures = figures_of([Cohort(number).run() for number in range(COHORTS)])
    check(figures)
    assert figures.jobs == 15_000
