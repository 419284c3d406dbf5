"""`taxiway usage` and `taxiway quota`: what was used, and what is left."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from services.cli.output import AsJson, Cell, moment, show_list, show_one
from services.cli.session import session_of

usage = typer.Typer(help="What was used.", no_args_is_help=True)
quota = typer.Typer(help="What is left of the plan.", no_args_is_help=True)

DAY = ["%Y-%m-%d"]
USAGE_FIELDS: dict[str, Cell] = {
    "meter": "meter",
    "total": "total",
    "days": lambda item: [f"{day['day']} {day['total']:,}" for day in item["days"]],
}
LIMIT_FIELDS: dict[str, Cell] = {
    "meter": "meter",
    "window": "window",
    "limit": "limit",
    "used": "settled",
    "held": "held",
    "left": "remaining",
    "resets": moment("reset"),
}


@usage.callback()
def _usage() -> None:
    """What was used."""


@quota.callback()
def _quota() -> None:
    """What is left of the plan."""


def day_text(day: datetime | None) -> str | None:
    """`2026-03-01`."""
    return None if day is None else day.date().isoformat()


@usage.command("show")
def show_usage(
    context: typer.Context,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=DAY, help="First day, UTC; today by default.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=DAY, help="Last day, UTC; today by default.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter, such as input_tokens.")] = None,
    as_json: AsJson = False,
) -> None:
    """Totals per meter and day."""
    query = {"from": day_text(first), "to": day_text(last), "meter": meter}
    answer = session_of(context).api.get("/usage", **query)
    if as_json:
        show_one(answer, {}, as_json)
        return
    show_list(answer["meters"], USAGE_FIELDS, as_json)
    typer.echo(
        f"{answer['first_day']} to {answer['last_day']}; {answer['duplicates']:,} samples came again and count once"
    )


@quota.command("show")
def show_quota(context: typer.Context, as_json: AsJson = False) -> None:
    """Every limit of the plan, with what is used and held of it."""
    answer = session_of(context).api.get("/quota")
    if as_json:
        show_one(answer, {}, as_json)
        return
    show_list(answer["limits"], LIMIT_FIELDS, as_json)
    typer.echo(f"plan {answer['plan']['name']}; meters without a limit are left out")
