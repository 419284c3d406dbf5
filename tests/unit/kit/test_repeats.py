"""A library that says the same again and again is heard once in a while."""

from __future__ import annotations

import logging

from services.kit.observability.repeats import MOST, SILENCE_SECONDS, Repeats
from tests.fakes.kit.clock import HeldSeconds


def record(text: str, *, name: str = "library", level: int = logging.WARNING) -> logging.LogRecord:
    """What a library logs."""
    return logging.LogRecord(name, level, "", 0, text, (), None)


def test_messages_that_differ_in_numbers_only_pass_once() -> None:
    repeats = Repeats(HeldSeconds())
    passed = [repeats.filter(record(f"broker 1: refused after {number} ms")) for number in range(20)]
    assert passed == [True, *[False] * 19]


def test_the_next_that_passes_tells_how_many_did_not() -> None:
    clock = HeldSeconds()
    repeats = Repeats(clock)
    for _ in range(4):
        repeats.filter(record("away"))
    clock.now += SILENCE_SECONDS
    again = record("away")
    assert repeats.filter(again)
    assert again.getMessage() == "away (3 more like this in the 10 s before)"
    clock.now += SILENCE_SECONDS
    later = record("away")
    assert repeats.filter(later)
    assert later.getMessage() == "away"


def test_other_texts_levels_and_libraries_are_other_messages() -> None:
    repeats = Repeats(HeldSeconds())
    others = [record("away"), record("back"), record("away", name="other"), record("away", level=logging.ERROR)]
    assert [repeats.filter(one) for one in others] == [True] * 4


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats(HeldSeconds())
    names = [f"library {chr(97 + number % 26)}{number}" for number in range(MOST * 3)]
    assert all(repeats.filter(record("away", name=name)) for name in names)
    assert len(repeats._seen) <= MOST
