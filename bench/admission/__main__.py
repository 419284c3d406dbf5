"""`python -m bench.admission [--json] [--cohorts N] [--policy NAME]`."""

from __future__ import annotations

import argparse
import json
import sys

from bench.admission.figures import KUEUE, Figures, figures_of
from bench.admission.load import COHORTS
from bench.admission.simulation import Cohort


def main() -> None:
    """Run the load and print the figures: for people, or with --json as one object on the last line."""
    parser = argparse.ArgumentParser(prog="python -m bench.admission", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--cohorts", type=int, default=COHORTS, choices=range(1, COHORTS + 1))
    parser.add_argument("--policy", default="default")
    options = parser.parse_args()
    warm_up = Cohort(0, options.policy).run(most=50).seconds  # policies compile themselves when they are used first
    outcomes = []
    for number in range(options.cohorts):
        outcomes.append(Cohort(number, options.policy).run())
        print(f"cohort {number + 1} of {options.cohorts}: {outcomes[-1].seconds:.1f} s", file=sys.stderr)
    found = {**as_dict(figures_of(outcomes)), "warm_up_seconds": round(warm_up, 2)}
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:22} {value}")


def as_dict(figures: Figures) -> dict[str, object]:
    """The figures with those of Kueue."""
    return {
        "jobs": figures.jobs,
        "finished": figures.finished,
        "admissions": figures.admissions,
        "preemptions": figures.preemptions,
        "admissions_per_second": round(figures.admissions_per_second, 1),
        "nominal_usage_pct": round(figures.nominal_usage_pct, 1),
        "mean_wait_ms": {name: round(wait) for name, wait in figures.mean_wait_ms.items()},
        "makespan_ms": figures.makespan_ms,
        "seconds": round(figures.seconds, 2),
        "longest_step_ms": round(figures.longest_ms, 1),
        "kueue": KUEUE,
    }


if __name__ == "__main__":
    main()
