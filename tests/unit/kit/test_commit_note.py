"""What stands beside a committed offset is read back to the millisecond, and a stranger's note says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.messaging.commit_note import age_in, note_of


@given(st.floats(0, 10**9))
def test_an_age_is_read_back_to_the_millisecond(age: float) -> None:
    assert age_in(note_of(age)) == pytest.approx(age, abs=1e-3)


@given(st.none() | st.text())
def test_what_others_write_there_is_no_age(note: str | None) -> None:
    assert age_in(note) is None


@pytest.mark.parametrize(
    "note", ["age_ms=", "age_ms=-1", "age_ms=1.5", "age_ms=12 ", "AGE_MS=12", "age_ms=" + "9" * 16]
)
def test_what_looks_nearly_like_ours_is_no_age(note: str) -> None:
    assert age_in(note) is None
