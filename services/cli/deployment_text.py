"""Deployments, their rollouts and their GPUs as people read them."""

from __future__ import annotations

from services.cli.api import Json
from services.cli.output import Cell, at, gpus, moment, time_text


def rollout_text(deployment: Json) -> str:
    """`revision 2, stage 1: 25 % of traffic, 3 replicas ready`."""
    rollout = deployment.get("rollout")
    if rollout is None:
        return ""
    stage = "" if rollout["stage"] is None else f", stage {rollout['stage']}"
    return (
        f"revision {rollout['revision']} {rollout['phase']}{stage}: {rollout['weight']} % of traffic,"
        f" {rollout['ready_replicas']} ready"
    )


def why_text(deployment: Json) -> str:
    """What it waits for, or why it was refused or given up."""
    waiting, refusal = deployment.get("waiting"), deployment.get("refusal")
    if waiting:
        return f"waits at position {waiting['position']} ({waiting['reason']}): {waiting['detail']}"
    if refusal:
        return f"refused ({refusal['code']}): {refusal['detail']}"
    return at(deployment, "rollout.reason") or ""


def gpus_of_replica(deployment: Json) -> str:
    """`0.5`, `2`."""
    resources = at(deployment, "spec.resources")
    return "" if resources is None else f"{resources['gpu_count'] * resources['gpu_milli'] / 1000:g}"


def analysis_text(deployment: Json) -> str:
    """`stage 1: Fail, error rate 20 %`."""
    analysis = at(deployment, "rollout.analysis")
    return "" if analysis is None else f"stage {analysis['stage']}: {analysis['verdict']}, {analysis['reason']}"


def place_text(allocation: Json) -> str:
    """`node-1[0,1]`."""
    return f"{allocation['node']}[{','.join(str(device) for device in allocation['devices'])}]"


def entry_line(entry: Json) -> str:
    """A history entry as one line."""
    return f"{time_text(entry['appended_at'])}  {entry['words']}"


LIST_FIELDS: dict[str, Cell] = {
    "name": "name",
    "id": "deployment_id",
    "state": "state",
    "revision": "revision",
    "model": "spec.model",
    "version": "spec.version",
    "stable": "stable_version",
    "replicas": "spec.replicas",
    "rollout": rollout_text,
}
FIELDS: dict[str, Cell] = LIST_FIELDS | {
    "GPUs of a replica": gpus_of_replica,
    "why": why_text,
    "analysis": analysis_text,
    "as of": moment("as_of.time"),
    "position": "as_of.position",
}
RESERVATION_FIELDS: dict[str, Cell] = {
    "reservation": "reservation_id",
    "revision": "revision",
    "stage": "stage",
    "GPUs": gpus("gpu_milli"),
    "where": lambda held: [place_text(allocation) for allocation in held["allocations"]],
    "why there": "explanation",
    "since": moment("reserved_at"),
}
