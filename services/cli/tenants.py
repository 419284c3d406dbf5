"""`taxiway tenants`: for operators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from services.cli.api import Json
from services.cli.names import tenant_id
from services.cli.output import AsJson, Cell, gpus, moment, say, show_list, show_one
from services.cli.session import session_of

app = typer.Typer(help="Teams that deploy models, for operators.", no_args_is_help=True)

TenantRef = Annotated[str, typer.Argument(metavar="TENANT", help="Name or id.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit.")]

FIELDS: dict[str, Cell] = {
    "name": "name",
    "id": "tenant_id",
    "plan": "plan.name",
    "GPUs at a time": gpus("plan.max_concurrent_gpu_milli"),
    "models": "plan.max_models",
    "limits": lambda tenant: [limit_text(limit) for limit in tenant["plan"]["limits"]],
    "suspended": "suspended_reason",
    "created": moment("created_at"),
}


def limit_text(limit: Json) -> str:
    """`1,000 input_tokens a day`."""
    return f"{limit['amount']:,} {limit['meter']} a {limit['window']}"


def read_plan(path: Path) -> Json:
    """The plan in a JSON file; raises `typer.BadParameter`. What it says is for the API to judge."""
    try:
        plan = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} is not a plan: {error}") from None
    if not isinstance(plan, dict):
        raise typer.BadParameter(f"{path} is not a plan: a JSON object is wanted")
    return plan


def read_limit(text: str) -> Json:
    """`input_tokens:day:1000`; raises `typer.BadParameter`."""
    meter, _, rest = text.partition(":")
    window, _, amount = rest.partition(":")
    if not amount.isdecimal():
        raise typer.BadParameter(f"{text!r}: write METER:WINDOW:AMOUNT, such as input_tokens:day:1000")
    return {"meter": meter, "window": window, "amount": int(amount)}


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Unique on the platform.")],
    plan: Annotated[
        Path | None, typer.Option(help="JSON file of the plan; the options below replace its parts.")
    ] = None,
    plan_name: Annotated[str | None, typer.Option(help="Name of the plan; `custom` by default.")] = None,
    max_gpu_milli: Annotated[int | None, typer.Option(help="Thousandths of a GPU reserved at one time.")] = None,
    max_models: Annotated[int | None, typer.Option(help="Registered models.")] = None,
    limit: Annotated[list[str] | None, typer.Option(help="METER:WINDOW:AMOUNT, such as input_tokens:day:1000.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a tenant that may deploy within its plan."""
    given = {
        "name": plan_name,
        "max_concurrent_gpu_milli": max_gpu_milli,
        "max_models": max_models,
        "limits": [read_limit(text) for text in limit] if limit else None,
    }
    base = {"name": "custom"} if plan is None else read_plan(plan)
    body = {"name": name, "plan": base | {field: value for field, value in given.items() if value is not None}}
    show_one(session_of(context).api.post("/tenants", body), FIELDS, as_json)


@app.command("list")
def list_tenants(context: typer.Context, as_json: AsJson = False) -> None:
    """All tenants, by name."""
    show_list(session_of(context).api.items("/tenants"), FIELDS, as_json)


@app.command()
def show(context: typer.Context, tenant: TenantRef, as_json: AsJson = False) -> None:
    """One tenant and its plan."""
    api = session_of(context).api
    show_one(api.get(f"/tenants/{tenant_id(api, tenant)}"), FIELDS, as_json)


@app.command()
def suspend(context: typer.Context, tenant: TenantRef, reason: Reason, as_json: AsJson = False) -> None:
    """Let it start nothing new; what runs goes on."""
    api = session_of(context).api
    answer = api.post(f"/tenants/{tenant_id(api, tenant)}/suspend", {"reason": reason})
    say(f"{answer.get('name')} is suspended: {reason}", answer, as_json)


@app.command()
def resume(context: typer.Context, tenant: TenantRef, reason: Reason, as_json: AsJson = False) -> None:
    """End a suspension."""
    api = session_of(context).api
    answer = api.post(f"/tenants/{tenant_id(api, tenant)}/resume", {"reason": reason})
    say(f"{answer.get('name')} may start new work again: {reason}", answer, as_json)
