"""`taxiway deployments`: what runs, and what becomes of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from services.cli.deployment_text import FIELDS, LIST_FIELDS, RESERVATION_FIELDS, entry_line
from services.cli.names import deployment_id
from services.cli.output import AsJson, say, show_list, show_one
from services.cli.session import session_of
from services.cli.watching import SETTLED, follow

app = typer.Typer(help="Deployments: what runs, and what becomes of it.", no_args_is_help=True)

DeploymentRef = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Name or id.")]


@app.command("list")
def list_deployments(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only those in this state, such as serving.")] = None,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Newest first; deleted ones too."""
    items = session_of(context).api.items("/deployments", limit=limit, state=state, model=model)
    show_list(items, LIST_FIELDS, as_json)


@app.command()
def show(context: typer.Context, deployment: DeploymentRef, as_json: AsJson = False) -> None:
    """One deployment as it stands."""
    api = session_of(context).api
    show_one(api.get(f"/deployments/{deployment_id(api, deployment)}"), FIELDS, as_json)


@app.command()
def watch(context: typer.Context, deployment: DeploymentRef, as_json: AsJson = False) -> None:
    """Its history as it happens, until it has settled; exit status 1 when it was rejected or rolled back."""
    api = session_of(context).api
    found = deployment_id(api, deployment)
    for entry in follow(api, found):
        if as_json:
            typer.echo(json.dumps(entry))
        else:
            say(entry_line(entry), entry, False)
    state = api.get(f"/deployments/{found}")["state"]
    if not as_json:
        typer.echo(f"It is {state}.")
    if not SETTLED.get(state, True):
        raise typer.Exit(1)


@app.command()
def delete(
    context: typer.Context,
    deployment: DeploymentRef,
    reason: Annotated[str | None, typer.Option(help="Why, for the history.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take its traffic away, end its pods, release its GPUs; then the name is free again."""
    api = session_of(context).api
    answer = api.delete(f"/deployments/{deployment_id(api, deployment)}", reason=reason)
    say(f"{answer.get('name')} is {answer.get('state')}", answer, as_json)


@app.command()
def placement(context: typer.Context, deployment: DeploymentRef, as_json: AsJson = False) -> None:
    """Which devices of which nodes a deployment holds, and why there; or what it waits for."""
    api = session_of(context).api
    answer = api.get(f"/deployments/{deployment_id(api, deployment)}/placement")
    if as_json:
        return show_one(answer, {}, as_json)
    for number, held in enumerate(answer["reservations"]):
        if number:
            typer.echo()
        show_one(held, RESERVATION_FIELDS, as_json)
    refusal = answer["refusal"]
    if not answer["reservations"]:
        say(answer["words"], answer, as_json)
    elif refusal is not None:
        say(f"\nrefused ({refusal['code']}): {refusal['detail']}", answer, as_json)
    return None
