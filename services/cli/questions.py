"""`taxiway capacity what-if` and `defragment`: questions that change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from schemas.phrases import count, gpus
from services.cli import options
from services.cli.api import Json
from services.cli.deployment_text import alternatives_text, place_text
from services.cli.names import tenant_id
from services.cli.output import AsJson, Cell, moment, show_list, show_one
from services.cli.output import gpus as gpus_at
from services.cli.session import session_of
from services.cli.specs import given, resources_of, whole_resources

MOST_SECONDS = 25
"""Less than the client's own patience."""

File = Annotated[Path | None, typer.Option(help="JSON file of the request; the options replace its parts.")]
Models = Annotated[list[str] | None, typer.Option("--gpu-model", "--model", help="GPU model that will do; repeatable.")]
Tenant = Annotated[str | None, typer.Option(help="Whose request it would be, for operators: name or id.")]
Wait = Annotated[int, typer.Option(help="Seconds to wait for the answer.", min=0, max=MOST_SECONDS)]
Earlier = Annotated[UUID | None, typer.Option(help="Show the answer to a question that was asked before.")]

ANSWER_FIELDS: dict[str, Cell] = {
    "outcome": "outcome",
    "reason": "reason",
    "why": "detail",
    "where": lambda answer: [place_text(each) for each in answer["allocations"]],
    "not elsewhere": alternatives_text,
    "would drain": lambda answer: [eviction_text(each) for each in answer["evictions"]],
    "position": "position",
    "starts about": moment("estimated_start"),
    "as of decision": "as_of_decision",
}
PLAN_FIELDS: dict[str, Cell] = {
    "possible": "is_possible",
    "why": "detail",
    "held twice": gpus_at("moved_gpu_milli"),
    "where": lambda answer: [place_text(each) for each in answer["allocations"]],
    "as of decision": "as_of_decision",
}
MOVE_FIELDS: dict[str, Cell] = {
    "move": "number",
    "deployment": lambda move: move["deployment"] or move["deployment_id"],
    "replica": "source.replica",
    "from": lambda move: place_text(move["source"]),
    "to": lambda move: place_text(move["target"]),
}


def add_to(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command("what-if")(what_if)
    app.command()(defragment)


def eviction_text(eviction: Json) -> str:
    """`2 replicas of chat (1 GPU)`; of other tenants `2 replicas of others (1 GPU)`."""
    whose = eviction["deployment"] or eviction["deployment_id"] or "others"
    return f"{count(eviction['replicas'], 'replica')} of {whose} ({gpus(eviction['gpu_milli'])})"


def read_demand(path: Path) -> Json:
    """The request in a JSON file; raises `typer.BadParameter`. What it says is for the API to judge."""
    try:
        demand = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} is not a request: {error}") from None
    if not isinstance(demand, dict) or not isinstance(demand.get("resources", {}), dict):
        raise typer.BadParameter(f"{path} is not a request: a JSON object is wanted, with an object of resources")
    return demand


def body_of(file: Path | None, resources: Json, asked: Json) -> Json:
    """The question: what the options say, on top of the file; raises `typer.BadParameter`."""
    if file is None:
        return asked | {"resources": whole_resources(resources)}
    demand = read_demand(file)
    return demand | asked | {"resources": demand.get("resources", {}) | resources}


def what_if(
    context: typer.Context,
    file: File = None,
    gpu: options.Gpus = None,
    mig: options.Mig = None,
    gpu_model: Models = None,
    replicas: options.Replicas = None,
    workers: options.Workers = None,
    topology: options.Topology = None,
    cpu: options.Cpu = None,
    memory: options.Memory = None,
    priority: options.Priority = None,
    preemptible: options.Preemptible = None,
    expected_seconds: options.Expected = None,
    pool: options.Pool = None,
    tenant: Tenant = None,
    question: Earlier = None,
    wait: Wait = 10,
    as_json: AsJson = False,
) -> None:
    """Would this fit, where, what would be drained for it, and when? Nothing is reserved."""
    resources = resources_of(gpu, gpu_model, cpu, memory, mig, workers, topology)
    more = given(priority=priority, preemptible=preemptible, expected_seconds=expected_seconds)
    asked = more | given(replicas=replicas, pool=pool, tenant_id=_tenant(context, tenant))
    answer = ask(context, "what-if", question, lambda: body_of(file, resources, asked), wait)
    show_answer("what-if", answer, ANSWER_FIELDS, as_json)


def defragment(
    context: typer.Context,
    file: File = None,
    gpu: options.Gpus = None,
    mig: options.Mig = None,
    gpu_model: Models = None,
    replicas: options.Replicas = None,
    workers: options.Workers = None,
    topology: options.Topology = None,
    cpu: options.Cpu = None,
    memory: options.Memory = None,
    priority: options.Priority = None,
    pool: options.Pool = None,
    tenant: Tenant = None,
    question: Earlier = None,
    wait: Wait = 10,
    as_json: AsJson = False,
) -> None:
    """Which serving replicas would have to move to make room for this? For operators; nothing is moved."""
    resources = resources_of(gpu, gpu_model, cpu, memory, mig, workers, topology)
    asked = given(replicas=replicas, priority=priority, pool=pool, tenant_id=_tenant(context, tenant))
    answer = ask(context, "defragmentation", question, lambda: body_of(file, resources, asked), wait)
    show_answer("defragment", answer, PLAN_FIELDS, as_json)
    if answer["moves"] and not as_json:
        typer.echo()
        show_list([{"number": n} | move for n, move in enumerate(answer["moves"], 1)], MOVE_FIELDS, as_json)


def _tenant(context: typer.Context, tenant: str | None) -> str | None:
    return None if tenant is None else str(tenant_id(session_of(context).api, tenant))


def ask(context: typer.Context, kind: str, earlier: UUID | None, body: Callable[[], Json], wait: int) -> Json:
    """The answer to a fresh question or to one that was asked earlier, as far as there is one in time."""
    api = session_of(context).api
    if earlier is not None:
        return api.get(f"/capacity/{kind}/{earlier}", wait=f"{wait}s")
    return api.post(f"/capacity/{kind}", body(), wait=f"{wait}s")


def show_answer(command: str, answer: Json, fields: dict[str, Cell], as_json: bool) -> None:
    """The answer; or, to people, where it will be."""
    if as_json or answer["answered_at"] is not None:
        return show_one(answer, fields, as_json)
    return typer.echo(f"no answer yet; look again with: taxiway capacity {command} --question {answer['question_id']}")
