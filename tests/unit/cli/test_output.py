"""Tables for people: plain text in which nothing is markup and nothing steers the terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.cli.output import at, cell, gpus, moment, say, show_list, show_one, text_of, time_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (1234567, "1,234,567"),
        (0.25, "0.25"),
        (["a", 1000], "a, 1,000"),
        ([], ""),
        ("[red]x[/red]", "[red]x[/red]"),
    ],
)
def test_values_as_people_read_them(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_a_path_into_an_item() -> None:
    item = {"a": {"b": {"c": 1}}, "n": None}
    assert (at(item, "a.b.c"), at(item, "a.x.c"), at(item, "n.c"), at(item, "zzz")) == (1, None, None, None)


def test_times_are_shown_in_utc_to_the_millisecond() -> None:
    assert time_text("2026-03-01T12:00:00.123456Z") == "2026-03-01 12:00:00.123"
    assert time_text("2026-03-01T12:00:00+02:00") == "2026-03-01 10:00:00.000"
    assert cell({"at": None}, moment("at")).plain == ""


def test_a_foreign_text_is_shown_and_not_obeyed() -> None:
    assert cell({"name": "a\x1b]0;title\x07\x9b2J[bold]\u202e"}, "name").plain == "a�]0;title��2J[bold]�"


def test_a_line_stays_a_line_where_no_terminal_limits_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([{"what": "word " * 40}], {"what": "what"}, as_json=False)
    assert ("word " * 40).strip() in capsys.readouterr().out


def test_a_terminals_width_is_kept_to(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    show_list([{"what": "word " * 40}], {"what": "what"}, as_json=False)
    assert all(len(line) <= 30 for line in capsys.readouterr().out.splitlines())


def test_where_the_terminal_is_narrow_nothing_is_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    show_list([{"id": "0123456789" * 4, "what": "x" * 30}], {"id": "id", "what": "what"}, as_json=False)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert sum(shown.count(digit) for digit in "0123456789") == 40
    assert shown.count("x") == 30


@pytest.mark.parametrize(("milli", "text"), [(None, ""), (0, "0"), (500, "0.5"), (4000, "4")])
def test_thousandths_of_a_gpu_are_shown_as_gpus(milli: int | None, text: str) -> None:
    assert cell({"held": {"gpu_milli": milli}}, gpus("held.gpu_milli")).plain == text


def test_what_a_command_did_is_said_in_words_that_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("created ann\x1b[2J", {"name": "ann"}, as_json=False)
    assert capsys.readouterr().out == "created ann�[2J\n"
    say("created ann", {"name": "ann"}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"name": "ann"}


def test_an_empty_list_still_has_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([], {"name": "name"}, as_json=False)
    assert "name" in capsys.readouterr().out


def test_one_item_leaves_out_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    show_one({"a": 1, "b": None}, {"first": "a", "second": "b"}, as_json=False)
    out = capsys.readouterr().out
    assert "first" in out
    assert "second" not in out


def test_json_is_all_there_is_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    item = {"name": "größe\x9b", "more": [1, None]}
    show_one(item, {"name": "name"}, as_json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == item
    assert out.isascii()
