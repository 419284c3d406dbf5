"""`taxiway capacity`: how many GPUs there are, who holds which, who waits and why, what to add, what would fit."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli import questions
from services.cli.api import Json
from services.cli.capacity_text import DEVICE_FIELDS, LEGEND, MODEL_FIELDS, NODE_FIELDS, by_model
from services.cli.failures import CliError
from services.cli.output import AsJson, Cell, gpus, moment, show_list, show_one, time_text
from services.cli.session import session_of

app = typer.Typer(help="GPUs: how many, who holds which, who waits, what would fit.", invoke_without_command=True)
questions.add_to(app)

Pool = Annotated[str | None, typer.Option(help="Only this pool.")]
READABLE = 40
"""Nodes that are listed without being asked to; of more, a line for each model of GPU is told."""

CAPACITY_FIELDS: dict[str, Cell] = {
    "node": "node",
    "pool": "pool",
    "zone": "zone",
    "GPU": "gpu_model",
    "devices": "gpu_count",
    "GPUs used": gpus("gpu_used_milli"),
    "of": gpus("gpu_total_milli"),
    "broken": "failed_devices",
    "cordoned": "is_cordoned",
    "CPU cores": lambda node: f"{node['cpu_milli'] / 1000:g}",
    "memory MiB": "memory_mib",
    "observed": moment("observed_at"),
}
QUEUE_FIELDS: dict[str, Cell] = {
    "pool": "pool",
    "position": "position",
    "deployment": lambda entry: entry["deployment"] or entry["deployment_id"],
    "tenant": lambda entry: entry["tenant"] or entry["tenant_id"],
    "replicas": "replicas",
    "GPUs": gpus("gpu_milli"),
    "priority": "priority",
    "reason": "reason",
    "why": "detail",
    "starts about": moment("estimated_start"),
    "waits since": moment("waiting_since"),
}
HINT_FIELDS: dict[str, Cell] = {
    "pool": "pool",
    "add nodes": "nodes",
    "GPUs of each": "gpu_count",
    "GPU": "gpu_model",
    "CPU cores of each": lambda hint: f"{hint['cpu_milli'] / 1000:g}",
    "memory MiB of each": "memory_mib",
    "why": "detail",
}


@app.callback()
def capacity(context: typer.Context, pool: Pool = None, as_json: AsJson = False) -> None:
    """GPUs, total and used, node by node; and with a command below, more."""
    if context.invoked_subcommand is not None:
        if pool is not None or as_json:
            raise typer.BadParameter(f"write the options behind `{context.invoked_subcommand}`")
        return
    answer = session_of(context).api.get("/capacity", pool=pool)
    if as_json:
        show_one(answer, {}, as_json)
        return
    show_list(answer["nodes"], CAPACITY_FIELDS, as_json)
    typer.echo(f"{answer['gpu_used_milli'] / 1000:g} of {answer['gpu_total_milli'] / 1000:g} GPUs are reserved")


@app.command("map")
def show_map(
    context: typer.Context,
    pool: Pool = None,
    node: Annotated[str | None, typer.Option(help="Only this node, device by device.")] = None,
    model: Annotated[str | None, typer.Option(help="Only nodes with this model of GPU.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Every node, however many there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Who holds which GPU: nodes × devices. A tenant sees itself, and how much others hold."""
    answer = session_of(context).api.get("/capacity/map", pool=pool, node=node, gpu_model=model)
    if as_json:
        return show_one(answer, {}, as_json)
    nodes = answer["nodes"]
    if node is not None:
        if not nodes:
            raise CliError(f"there is no node {node}: see `taxiway capacity map --list`")
        devices = [{"node": each["node"]} | device for each in nodes for device in each["devices"]]
        show_list(devices, DEVICE_FIELDS, as_json)
    elif listed or len(nodes) <= READABLE:
        show_list(nodes, NODE_FIELDS, as_json)
        typer.echo(LEGEND)
    else:
        show_list(by_model(nodes), MODEL_FIELDS, as_json)
        typer.echo(f"{len(nodes):,} nodes: list them with --list, or one with --node")
    typer.echo(_sum_of(answer))
    return None


def _sum_of(answer: Json) -> str:
    failed = f", {answer['gpu_failed_milli'] / 1000:g} broken" if answer["gpu_failed_milli"] else ""
    return f"{answer['gpu_free_milli'] / 1000:g} of {answer['gpu_total_milli'] / 1000:g} GPUs are free{failed}"


@app.command()
def queue(context: typer.Context, pool: Pool = None, as_json: AsJson = False) -> None:
    """Who waits for GPUs, in the order in which they are tried, why, and until when. A tenant sees itself."""
    answer = session_of(context).api.get("/capacity/queue", pool=pool)
    if as_json:
        return show_one(answer, {}, as_json)
    entries = [{"pool": each["pool"]} | entry for each in answer["queues"] for entry in each["entries"]]
    show_list(entries, QUEUE_FIELDS, as_json)
    for each in answer["queues"]:
        typer.echo(
            f"pool {each['pool']}: {each['length']:,} wait for {each['gpu_milli'] / 1000:g} GPUs, as of decision"
            f" {each['as_of_decision']}, {time_text(each['at'])} UTC"
        )
    return None


@app.command()
def hints(context: typer.Context, pool: Pool = None, as_json: AsJson = False) -> None:
    """What nodes to add so that the head of the queue starts, for operators; the cheapest first."""
    answer = session_of(context).api.get("/capacity/hints", pool=pool)
    if as_json:
        return show_one(answer, {}, as_json)
    found = [{"pool": each["pool"]} | hint for each in answer["pools"] for hint in each["hints"]]
    if found:
        show_list(found, HINT_FIELDS, as_json)
    else:
        typer.echo("nothing waits that more nodes would help")
    return None
