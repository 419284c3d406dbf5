"""`taxiway lag`, `placement`: what operators look at beside capacity."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.deployments import placement
from services.cli.output import AsJson, Cell, show_list, show_one, time_text
from services.cli.session import session_of

LAG_FIELDS: dict[str, Cell] = {
    "group": "group",
    "topic": "topic",
    "partition": "partition",
    "committed": "committed",
    "end": "end",
    "behind": "offsets_behind",
    "oldest s": lambda lag: f"{lag['oldest_seconds']:.1f}",
    "at commit s": lambda lag: "" if (age := lag.get("age_at_commit_seconds")) is None else f"{age:.3f}",
}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (placement, lag):
        app.command()(command)


def lag(
    context: typer.Context,
    behind: Annotated[bool, typer.Option("--behind", help="Only what is behind.")] = False,
    as_json: AsJson = False,
) -> None:
    """How far each consumer group is behind on each partition, and what lies in the dead letters."""
    answer = session_of(context).api.get("/lag")
    if behind:
        answer |= {"lags": [each for each in answer["lags"] if each["offsets_behind"]]}
    if as_json:
        show_one(answer, {}, as_json)
        return
    show_list(answer["lags"], LAG_FIELDS, as_json)
    letters = {topic: count for topic, count in answer["dead_letters"].items() if count}
    show_list(
        [{"topic": topic, "count": count} for topic, count in letters.items()],
        {"dead letters of": "topic", "records": "count"},
        as_json,
    )
    typer.echo(f"measured {time_text(answer['measured_at'])} UTC; {sum(letters.values())} dead letters")
