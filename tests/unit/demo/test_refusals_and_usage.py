"""Steps 5 and 6: what must be refused was, for its own reason; what was sent is what was counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.demo.metering import Counted, Sent, usage_faults
from infra.demo.recorded import Trace, draw_demands, read_trace
from infra.demo.refusals import DeadLetter, Refusals, refusal_faults
from schemas.tenant import Meter

LETTERS = (DeadLetter("schema", "malformed-1"), DeadLetter("signature", "f1"))
REFUSED = Refusals(
    hold_code="quota-exceeded",
    hold_detail="too much",
    deployment_state="rejected",
    deployment_detail="too many",
    dead_letters=LETTERS,
    provoked=LETTERS,
    next_is_admitted=True,
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_all_was_refused_for_its_own_reason() -> None:
    assert list(refusal_faults(REFUSED)) == []


@pytest.mark.parametrize(
    "now",
    [
        replace(REFUSED, hold_code=""),
        replace(REFUSED, hold_code="forbidden"),
        replace(REFUSED, hold_detail=""),
        replace(REFUSED, deployment_state="queued"),
        replace(REFUSED, deployment_detail=""),
        replace(REFUSED, dead_letters=LETTERS[:1]),
        replace(REFUSED, dead_letters=(*LETTERS, DeadLetter("ValueError", "other"))),
        replace(REFUSED, dead_letters=(LETTERS[0], DeadLetter("signature", "another one"))),
        replace(REFUSED, next_is_admitted=False),
    ],
)
def test_a_refusal_without_its_reason_or_a_wrong_dead_letter_is_a_fault(now: Refusals) -> None:
    assert len(list(refusal_faults(now))) == 1


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Three requests over two seconds."""
    file = tmp_path / "trace.csv"
    file.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,374,44\n"
        "2023-11-16 18:17:04.0319569,396,109\n"
        "2023-11-16 18:17:05.9799600,30,3\n"
    )
    return read_trace(file, NOON)


def test_a_trace_is_moved_to_a_moment_ago_and_keeps_its_distances(trace: Trace) -> None:
    times = [sample.time for sample in trace.samples]
    assert times[-1] == NOON - timedelta(seconds=5)
    assert times[-1] - times[0] == timedelta(seconds=2)
    assert trace.first_day == "2026-03-01"
    assert trace.totals == {Meter.INPUT_TOKENS: 800, Meter.OUTPUT_TOKENS: 156, Meter.API_CALLS: 3}
    assert len({sample.id for sample in trace.samples}) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no requests"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "has no requests"),
        ("TIMESTAMP,ContextTokens\n2023-11-16 18:17:03,1\n", "line 2"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1,2\nyesterday,1,2\n", "line 3"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1,two\n", "line 2"),
    ],
)
def test_a_file_that_is_no_trace_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_trace(file, NOON)


def test_totals_that_are_off_by_one_or_of_another_tenant_are_a_fault(trace: Trace) -> None:
    sent = Sent(again=1)
    exact = Counted(trace.totals, duplicates=1, is_exact=True)
    assert list(usage_faults(trace, sent, exact)) == []
    more = trace.totals | {Meter.OUTPUT_TOKENS: 157}
    for wrong in (replace(exact, totals=more), replace(exact, is_exact=False), replace(exact, duplicates=2)):
        assert len(list(usage_faults(trace, sent, wrong))) == 1


def test_demands_are_those_of_pods_that_want_gpus_and_the_same_each_time() -> None:
    demands = draw_demands(8)
    assert demands == draw_demands(8)
    assert len(demands) == 8
    assert all(demand.total_gpu_milli > 0 for demand in demands)
