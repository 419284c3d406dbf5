"""Prints what commands found: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.api import Json
from services.cli.failures import printable

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Cell = str | Callable[[Json], object]
"""A field's path, such as `plan.name`, or what makes the cell of an item."""
PIPED_WIDTH = 250
"""Columns where no terminal says how wide it is, so that a line stays a line for grep."""


def show_list(items: Iterable[Json], columns: Mapping[str, Cell], as_json: bool) -> None:
    """One row an item."""
    items = list(items)
    if as_json:
        return print_json(items)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in columns:
        table.add_column(title, overflow="fold")
    for item in items:
        table.add_row(*(cell(item, how) for how in columns.values()))
    return console().print(table)


def show_one(item: Json, rows: Mapping[str, Cell], as_json: bool) -> None:
    """One row a field; fields that are not there are left out."""
    if as_json:
        return print_json(item)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, how in rows.items():
        if (content := cell(item, how)).plain:
            table.add_row(title, content)
    return console().print(table)


def say(sentence: str, answer: Json, as_json: bool) -> None:
    """What a command did, in words or as the API's answer."""
    if as_json:
        print_json(answer)
    else:
        typer.echo(printable(sentence))


def print_json(value: Any) -> None:
    """The value, readable; in ASCII, so that no name in it can steer a terminal."""
    typer.echo(json.dumps(value, indent=2))


def console() -> Console:
    """Where tables go."""
    is_wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(file=sys.stdout, width=PIPED_WIDTH if is_wide else None, highlight=False)


def cell(item: Json, how: Cell) -> Text:
    """The cell of an item: plain text, in which nothing is markup."""
    return Text(printable(text_of(at(item, how) if isinstance(how, str) else how(item))))


def at(item: Json, path: str) -> Any:
    """What stands at `a.b`; None where something on the way is missing."""
    value: Any = item
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text_of(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(text_of(item) for item in value)
    return str(value)


def moment(path: str) -> Cell:
    """A cell with the RFC 3339 time at `path`."""
    return lambda item: time_text(at(item, path))


def time_text(text: str | None) -> str:
    """`2026-03-01T12:00:00.123456Z` as `2026-03-01 12:00:00.123`, UTC."""
    if text is None:
        return ""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")


def gpus(path: str) -> Cell:
    """A cell with thousandths of a GPU as GPUs."""

    def show(item: Json) -> str:
        milli = at(item, path)
        return "" if milli is None else f"{milli / 1000:g}"

    return show
