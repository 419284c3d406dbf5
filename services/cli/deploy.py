"""`taxiway deploy`: a new deployment, or a new revision of the one that has the name."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli import quantities
from services.cli.api import Api, Json
from services.cli.deployment_text import FIELDS
from services.cli.names import present_deployment
from services.cli.output import AsJson, show_one
from services.cli.session import session_of
from services.cli.specs import change_of, given, new_spec, resources_of

TRAFFIC = "Traffic"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(deploy)


def submit(api: Api, name: str, asked: Json) -> Json:
    """Create, or change when the name is taken; returns the deployment as it stands."""
    current = present_deployment(api, name)
    if current is None:
        return api.post("/deployments", new_spec(name, asked))
    return api.patch(f"/deployments/{current['deployment_id']}", change_of(current, asked))


def deploy(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the deployment, unique within the tenant.")],
    model: Annotated[str | None, typer.Option(help="Registered model.")] = None,
    version: Annotated[str | None, typer.Option(help="Registered version of it.")] = None,
    replicas: Annotated[int | None, typer.Option(help="Replicas at full strength; 1 by default.")] = None,
    gpu: Annotated[str | None, typer.Option(help="GPUs of a replica: 1 (default), 2, 500m, 0.")] = None,
    gpu_model: Annotated[list[str] | None, typer.Option(help="GPU model that will do; repeatable.")] = None,
    cpu: Annotated[str | None, typer.Option(help="CPU cores of a replica: 1 (default), 4, 500m.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory of a replica: 1Gi (default), 512Mi.")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher goes first in the queue; 100 by default.")] = None,
    pool: Annotated[str | None, typer.Option(help="Pool of nodes; `default` by default.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Percent of traffic stage by stage; 10,25,50,100 by default.", rich_help_panel=TRAFFIC),
    ] = None,
    observe_seconds: Annotated[
        float | None, typer.Option(help="How long each stage is watched.", rich_help_panel=TRAFFIC)
    ] = None,
    max_error_rate: Annotated[
        float | None, typer.Option(help="Share of failed requests above which a stage fails.", rich_help_panel=TRAFFIC)
    ] = None,
    max_latency_p99_ms: Annotated[
        int | None, typer.Option(help="p99 latency in ms above which a stage fails.", rich_help_panel=TRAFFIC)
    ] = None,
    max_latency_ratio: Annotated[
        float | None,
        typer.Option(help="p99 of the new version by stable's, above which it fails.", rich_help_panel=TRAFFIC),
    ] = None,
    min_samples: Annotated[
        int | None, typer.Option(help="Requests that a verdict needs.", rich_help_panel=TRAFFIC)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Deploy a version of a model. Where the name is taken, roll the new version out there."""
    asked = given(
        model=model,
        version=version,
        replicas=replicas,
        resources=resources_of(gpu, gpu_model, cpu, memory),
        priority=priority,
        pool=pool,
        canary=given(weights=None if weights is None else quantities.weights(weights), observe_seconds=observe_seconds),
        gates=given(
            max_error_rate=max_error_rate,
            max_latency_p99_ms=max_latency_p99_ms,
            max_latency_ratio=max_latency_ratio,
            min_samples=min_samples,
        ),
    )
    answer = submit(session_of(context).api, name, asked)
    show_one(answer, FIELDS, as_json)
    if not as_json:
        typer.echo(f"\nFollow it: taxiway deployments watch {name}")
