"""`taxiway history`: everything that happened to a deployment, from the API or from the log alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from schemas.envelope import format_time
from services.cli.api import Json
from services.cli.deployments import DeploymentRef
from services.cli.failures import CliError
from services.cli.history import DEPLOYMENT_TOPICS, HistoryLine, read_history
from services.cli.log import open_log
from services.cli.names import as_uuid, deployment_id
from services.cli.output import AsJson, Cell, moment, show_list
from services.cli.session import session_of

FIELDS: dict[str, Cell] = {
    "time": moment("appended_at"),
    "who": "actor",
    "what": "words",
    "where": "position",
}
LOG_FIELDS: dict[str, Cell] = FIELDS | {"lag s": lambda line: lag_text(line)}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(history)


def as_json_line(line: HistoryLine) -> Json:
    """A line of the log with the names that the API's history has."""
    fields = asdict(line)
    return fields | {"appended_at": format_time(line.appended_at), "position": line.place}


def lag_text(line: Json) -> str:
    """Seconds, as the log's clock has them."""
    return "" if line["lag_seconds"] is None else f"{line['lag_seconds']:.3f}"


def history(
    context: typer.Context,
    deployment: DeploymentRef,
    from_log: Annotated[
        bool, typer.Option("--from-log", help="Read it back from Kafka alone; by id this needs no API.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Every event of a deployment, in words, with its place in the log; oldest first.

    With --from-log commands are among them, and each line tells the time between its cause (or, where that is not in
    the log under this deployment, the line before) and itself, by the log's clock.
    """
    session = session_of(context)
    if not from_log:
        api = session.api
        show_list(api.items(f"/deployments/{deployment_id(api, deployment)}/history"), FIELDS, as_json)
        return
    found = as_uuid(deployment) or deployment_id(session.api, deployment)
    with open_log(session.bootstrap, [topic.name for topic in DEPLOYMENT_TOPICS]):
        lines = read_history(session.bootstrap, found)
    if not lines:
        raise CliError(f"the log says nothing about deployment {found}")
    show_list(map(as_json_line, lines), LOG_FIELDS, as_json)
