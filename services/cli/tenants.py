"""`taxiway tenants`: for operators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from services.cli.api import Json
from services.cli.names import tenant_id
from services.cli.output import AsJson, Cell, gpus, moment, say, show_list, show_one
from services.cli.quantities import milli
from services.cli.session import session_of
from services.cli.specs import given

app = typer.Typer(help="Teams that deploy models, for operators.", no_args_is_help=True)

TenantRef = Annotated[str, typer.Argument(metavar="TENANT", help="Name or id.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit.")]

PlanFile = Annotated[Path | None, typer.Option("--plan", help="JSON file of the plan; the options replace its parts.")]
PlanName = Annotated[str | None, typer.Option(help="Name of the plan; `custom` by default.")]
MaxGpuMilli = Annotated[int | None, typer.Option(help="Thousandths of a GPU reserved at one time.")]
MaxWaiting = Annotated[
    int | None, typer.Option("--max-waiting-requests", help="Reservations that may wait in one pool at a time.")
]
MaxModels = Annotated[int | None, typer.Option(help="Registered models.")]
Limits = Annotated[list[str] | None, typer.Option(help="METER:WINDOW:AMOUNT, such as input_tokens:day:1000.")]
GpuQuotas = Annotated[
    list[str] | None,
    typer.Option(
        help="MODEL:GUARANTEED[:BORROWS[:LENDS]] in GPUs, such as A100:4:2:500m; an empty MODEL means all models, an"
        " empty limit none."
    ),
]
Weight = Annotated[int | None, typer.Option(help="Share of what nobody is guaranteed, relative to other tenants'.")]

FIELDS: dict[str, Cell] = {
    "name": "name",
    "id": "tenant_id",
    "plan": "plan.name",
    "GPUs at a time": gpus("plan.max_concurrent_gpu_milli"),
    "waiting requests": "plan.max_waiting_requests",
    "models": "plan.max_models",
    "limits": lambda tenant: [limit_text(limit) for limit in tenant["plan"]["limits"]],
    "GPU shares": lambda tenant: [quota_text(quota) for quota in tenant["plan"].get("gpu_quotas", ())],
    "weight": "plan.weight",
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


def quota_text(quota: Json) -> str:
    """`A100 4 guaranteed, borrows up to 2, lends up to 0.5`; where there is no limit, nothing is said."""
    words = {"borrowing_limit_milli": "borrows", "lending_limit_milli": "lends"}
    limits = [f", {verb} up to {quota[field] / 1000:g}" for field, verb in words.items() if quota[field] is not None]
    return f"{quota['gpu_model'] or 'any'} {quota['guaranteed_milli'] / 1000:g} guaranteed{''.join(limits)}"


def read_quota(text: str) -> Json:
    """`A100:4:2:500m`; raises `typer.BadParameter`."""
    model, *amounts = text.split(":")
    if not 1 <= len(amounts) <= 3 or not amounts[0]:
        raise typer.BadParameter(f"{text!r}: write MODEL:GUARANTEED[:BORROWS[:LENDS]], such as A100:4:2:500m")
    fields = ("guaranteed_milli", "borrowing_limit_milli", "lending_limit_milli")
    return {"gpu_model": model} | {field: milli(text) for field, text in zip(fields, amounts, strict=False) if text}


def changes_of(
    plan_name: str | None,
    max_gpu_milli: int | None,
    max_waiting: int | None,
    max_models: int | None,
    limit: list[str] | None,
    gpu_quota: list[str] | None,
    weight: int | None,
) -> Json:
    """What the options say of a plan; raises `typer.BadParameter`."""
    return given(
        name=plan_name,
        max_concurrent_gpu_milli=max_gpu_milli,
        max_waiting_requests=max_waiting,
        max_models=max_models,
        limits=[read_limit(text) for text in limit or ()],
        gpu_quotas=[read_quota(text) for text in gpu_quota or ()],
        weight=weight,
    )


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Unique on the platform.")],
    plan: PlanFile = None,
    plan_name: PlanName = None,
    max_gpu_milli: MaxGpuMilli = None,
    max_waiting: MaxWaiting = None,
    max_models: MaxModels = None,
    limit: Limits = None,
    gpu_quota: GpuQuotas = None,
    weight: Weight = None,
    as_json: AsJson = False,
) -> None:
    """Create a tenant that may deploy within its plan."""
    base = {"name": "custom"} if plan is None else read_plan(plan)
    changes = changes_of(plan_name, max_gpu_milli, max_waiting, max_models, limit, gpu_quota, weight)
    show_one(session_of(context).api.post("/tenants", {"name": name, "plan": base | changes}), FIELDS, as_json)


@app.command("plan")
def change_plan(
    context: typer.Context,
    tenant: TenantRef,
    plan: PlanFile = None,
    plan_name: PlanName = None,
    max_gpu_milli: MaxGpuMilli = None,
    max_waiting: MaxWaiting = None,
    max_models: MaxModels = None,
    limit: Limits = None,
    gpu_quota: GpuQuotas = None,
    weight: Weight = None,
    as_json: AsJson = False,
) -> None:
    """Change what a tenant may use. What no option names stays as it is, unless a file replaces the plan."""
    changes = changes_of(plan_name, max_gpu_milli, max_waiting, max_models, limit, gpu_quota, weight)
    if plan is None and not changes:
        raise typer.BadParameter("name what to change, such as --weight, or a file with --plan")
    api = session_of(context).api
    path = f"/tenants/{tenant_id(api, tenant)}"
    base = api.get(path)["plan"] if plan is None else read_plan(plan)
    show_one(api.put(f"{path}/quota", base | changes), FIELDS, as_json)


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
