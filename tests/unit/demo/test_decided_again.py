"""Step 8: what it calls a fault, and what it says."""

from __future__ import annotations

from dataclasses import replace

from infra.demo.decided_again import DecidedAgain, in_words, replay_faults
from services.scheduler.domain.audit.comparison import Series, summary
from services.scheduler.entrypoints.replay import Check

RUN = replace(summary(Series()), requests=18)
GOOD = DecidedAgain(inputs=1300, check=Check(compared=50), recorded=RUN, other=RUN, differing=7)


def test_a_log_that_comes_out_as_recorded_has_no_fault() -> None:
    assert list(replay_faults(GOOD, 18)) == []
    assert in_words(GOOD) == (
        "decided once more: 50 decisions on 1300 inputs come out as recorded; "
        "by least_loaded 7 of 18 requests would have gone elsewhere"
    )


def test_a_decision_that_differs_and_a_request_that_is_missing_are_faults() -> None:
    bad = replace(GOOD, check=Check(compared=50, different=[(None, None)]), recorded=replace(RUN, requests=17))
    assert list(replay_faults(bad, 18)) == [
        "1 of 50 decisions do not come out as recorded",
        "the log holds 17 requests for GPUs where 18 were made",
    ]


def test_what_cannot_be_checked_does_not_hold() -> None:
    assert list(replay_faults(replace(GOOD, check=Check(unknown={"best_fit 0": 3})), 18)) != []
