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
        return waiting_text(waiting)
    if refusal:
        return f"refused ({refusal['code']}): {refusal['detail']}"
    return at(deployment, "rollout.reason") or ""


def waiting_text(waiting: Json | None) -> str:
    """`waits at position 3 (NoFreeCapacity): 1 GPU is free; should start about 2026-03-01 12:05:00.000`."""
    if waiting is None:
        return ""
    start = waiting.get("estimated_start")
    about = f"; should start about {time_text(start)}" if start else ""
    return f"waits at position {waiting['position']} ({waiting['reason']}): {waiting['detail']}{about}"


def affected_text(path: str) -> Cell:
    """A cell with replicas that something happened to: `0, 2 (NodeRemoved): node-1 is gone`."""

    def show(item: Json) -> list[str]:
        found = at(item, path) or ()
        return [f"{', '.join(map(str, each['replicas']))} ({each['reason']}): {each['detail']}" for each in found]

    return show


def gpus_of_replica(deployment: Json) -> str:
    """`0.5`, `2`, `1g.10gb`, `8 x 4 pods`."""
    resources = at(deployment, "spec.resources")
    if resources is None:
        return ""
    pod = resources.get("mig_profile") or f"{resources['gpu_count'] * resources['gpu_milli'] / 1000:g}"
    workers = resources.get("workers", 1)
    return pod if workers == 1 else f"{pod} x {workers} pods"


def analysis_text(deployment: Json) -> str:
    """`stage 1: Fail, error rate 20 %`."""
    analysis = at(deployment, "rollout.analysis")
    return "" if analysis is None else f"stage {analysis['stage']}: {analysis['verdict']}, {analysis['reason']}"


def place_text(allocation: Json) -> str:
    """`node-1[0,1]`; of a slice `node-1[0:1g.10gb@3]`."""
    devices = ",".join(str(device) for device in allocation["devices"])
    profile = allocation.get("mig_profile")
    cut = f":{profile}@{allocation['mig_start']}" if profile else ""
    return f"{allocation['node']}[{devices}{cut}]"


def decision_text(held: Json) -> str:
    """`17 of pool default by packing 1, 2026-03-01 12:00:00.000, for taxiway.deployment.events.v1/0/4`."""
    made = held.get("decision")
    if made is None:
        return ""
    return (
        f"{made['number']} of pool {made['pool']} by {made['policy']} {made['policy_version']},"
        f" {time_text(made['decided_at'])}, for {made['input_position']}"
    )


def alternatives_text(item: Json) -> list[str]:
    """`node-7 (score 3): it would leave a hole`."""
    return [f"{each['node']} (score {each['score']}): {each['why']}" for each in item.get("alternatives") or ()]


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
    "lost": affected_text("lost"),
    "to drain": affected_text("draining"),
    "analysis": analysis_text,
    "as of": moment("as_of.time"),
    "position": "as_of.position",
}
RESERVATION_FIELDS: dict[str, Cell] = {
    "reservation": "reservation_id",
    "pool": "pool",
    "revision": "revision",
    "stage": "stage",
    "GPUs": gpus("gpu_milli"),
    "where": lambda held: [place_text(allocation) for allocation in held["allocations"]],
    "why there": "explanation",
    "score": "score",
    "not elsewhere": alternatives_text,
    "waits": lambda held: waiting_text(held["waiting"]),
    "lost": affected_text("lost"),
    "to drain": affected_text("draining"),
    "decision": decision_text,
    "since": moment("reserved_at"),
}
