"""`taxiway rollout`: how far a rollout is, and what people tell it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli.deployment_text import analysis_text, rollout_text, why_text
from services.cli.deployments import DeploymentRef
from services.cli.names import deployment_id
from services.cli.output import AsJson, Cell, moment, say, show_one
from services.cli.session import session_of

app = typer.Typer(help="The rollout of a deployment.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why, for the history.")]
FIELDS: dict[str, Cell] = {
    "state": "state",
    "rollout": rollout_text,
    "version": "rollout.version",
    "weights": "rollout.weights",
    "aim": "rollout.target_weight",
    "analysis": analysis_text,
    "why": why_text,
    "stable revision": "stable_revision",
    "stable version": "stable_version",
    "as of": moment("as_of.time"),
    "position": "as_of.position",
}


def tell(context: typer.Context, deployment: str, verb: str, body: dict[str, Any], as_json: bool) -> None:
    """Send one command to the rollout."""
    api = session_of(context).api
    answer = api.post(f"/deployments/{deployment_id(api, deployment)}/rollout/{verb}", body)
    say(f"asked to {verb} the rollout of {answer.get('name')}: {body['reason']}", answer, as_json)


@app.command()
def show(context: typer.Context, deployment: DeploymentRef, as_json: AsJson = False) -> None:
    """Stage, weight as it was read back, verdict, and what it waits for."""
    api = session_of(context).api
    show_one(api.get(f"/deployments/{deployment_id(api, deployment)}/rollout"), FIELDS, as_json)


@app.command()
def pause(context: typer.Context, deployment: DeploymentRef, reason: Reason, as_json: AsJson = False) -> None:
    """Stay at the present stage until resumed."""
    tell(context, deployment, "pause", {"reason": reason}, as_json)


@app.command()
def resume(context: typer.Context, deployment: DeploymentRef, reason: Reason, as_json: AsJson = False) -> None:
    """Go on after a pause."""
    tell(context, deployment, "resume", {"reason": reason}, as_json)


@app.command()
def promote(
    context: typer.Context,
    deployment: DeploymentRef,
    reason: Reason,
    full: Annotated[bool, typer.Option("--full", help="Skip all remaining stages and analyses.")] = False,
    as_json: AsJson = False,
) -> None:
    """End the present stage now."""
    tell(context, deployment, "promote", {"reason": reason, "full": full}, as_json)


@app.command()
def abort(context: typer.Context, deployment: DeploymentRef, reason: Reason, as_json: AsJson = False) -> None:
    """Give up: traffic back to stable, the new version away."""
    tell(context, deployment, "abort", {"reason": reason}, as_json)
