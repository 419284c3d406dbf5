"""`taxiway deploy`: a new deployment, or a new revision of the one that has the name."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli import options, quantities
from services.cli.api import Api, Json
from services.cli.deployment_text import FIELDS
from services.cli.names import present_deployment
from services.cli.output import AsJson, show_one
from services.cli.session import session_of
from services.cli.specs import change_of, given, new_spec, resources_of


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
    replicas: options.Replicas = None,
    gpu: options.Gpus = None,
    gpu_model: options.GpuModels = None,
    mig: options.Mig = None,
    cpu: options.Cpu = None,
    memory: options.Memory = None,
    workers: options.Workers = None,
    topology: options.Topology = None,
    priority: options.Priority = None,
    pool: options.Pool = None,
    max_replicas: options.MaxReplicas = None,
    preemptible: options.Preemptible = None,
    start_within_seconds: options.StartWithin = None,
    expected_seconds: options.Expected = None,
    weights: options.Weights = None,
    observe_seconds: options.Observe = None,
    max_error_rate: options.ErrorRate = None,
    max_latency_p99_ms: options.Latency = None,
    max_latency_ratio: options.LatencyRatio = None,
    min_samples: options.Samples = None,
    as_json: AsJson = False,
) -> None:
    """Deploy a version of a model. Where the name is taken, roll the new version out there."""
    asked = given(
        model=model,
        version=version,
        replicas=replicas,
        resources=resources_of(gpu, gpu_model, cpu, memory, mig, workers, topology),
        priority=priority,
        pool=pool,
        max_replicas=max_replicas,
        preemptible=preemptible,
        start_within_seconds=start_within_seconds,
        expected_seconds=expected_seconds,
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
