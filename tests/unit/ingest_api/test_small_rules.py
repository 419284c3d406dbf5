"""Cursors, durations, windows, names of holds, problem documents."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.tenant import Window
from schemas.usage import hold_name, is_hold_of
from services.ingest_api.domain import cursor
from services.ingest_api.domain.durations import seconds_of
from services.ingest_api.domain.problems import CATALOGUE, Problem, invalid
from services.ingest_api.domain.quota import reset_of
from tests.fakes.ingest_api.builders import TENANT


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_a_cursor_is_read_as_it_was_written(key: str) -> None:
    assert cursor.decode(cursor.encode(key)) == key


@given(st.text())
def test_any_text_is_a_cursor_or_a_problem(text: str) -> None:
    with suppress(Problem):
        assert isinstance(cursor.decode(text), str)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("500ms", 0.5), ("1.5s", 1.5), ("2m", 120), ("1h", 3600), ("PT10S", 10), ("PT1H2M3S", 3723)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text, "wait") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "10 s", "PT", "P1D", "1e9s", "\u0661s"])
def test_what_is_no_duration_is_a_problem(text: str) -> None:
    with pytest.raises(Problem, match="wait"):
        seconds_of(text, "wait")


@pytest.mark.parametrize(
    ("window", "day", "reset"),
    [
        (Window.DAY, date(2026, 2, 28), datetime(2026, 3, 1, tzinfo=UTC)),
        (Window.MONTH, date(2026, 1, 31), datetime(2026, 2, 1, tzinfo=UTC)),
        (Window.MONTH, date(2026, 12, 1), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_window_ends_where_the_next_begins(window: Window, day: date, reset: datetime) -> None:
    assert reset_of(window, day) == reset


@given(st.text(min_size=1))
def test_a_hold_is_always_named_within_its_tenant(hold_id: str) -> None:
    name, stranger = hold_name(TENANT, hold_id), UUID(int=77)
    assert is_hold_of(TENANT, name)
    assert not is_hold_of(stranger, name)
    assert hold_name(TENANT, name) == name
    assert is_hold_of(stranger, hold_name(stranger, name))


def test_a_document_has_what_the_standard_asks_and_more() -> None:
    problem = Problem("quota-exceeded", "too much", extra={"limit": 5})
    document = problem.document("/api/v1/x", "abc")
    assert document == {
        "type": "/problems/quota-exceeded",
        "title": "Quota exceeded",
        "status": 403,
        "detail": "too much",
        "instance": "/api/v1/x",
        "errors": [],
        "trace_id": "abc",
        "limit": 5,
    }
    assert invalid("/a", "no").errors[0].pointer == "/a"


def test_every_kind_of_problem_says_what_to_do() -> None:
    for code, kind in CATALOGUE.items():
        assert 400 <= kind.status < 600, code
        assert kind.title, code
        assert kind.meaning.endswith("."), code
