"""The GPU map as people read it in a terminal: by model, by node, or device by device. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from services.cli.api import Json
from services.cli.output import Cell, gpus

STATES = ("free", "shared", "exclusive", "mig", "failed")
LEGEND = (
    "devices: . free, 1-9 tenths taken of a shared one, # exclusive, M cut into slices, x broken; ! takes nothing new"
)
MOST_HOLDERS = 4
"""Named on a line before the rest is counted."""


def symbol(device: Json) -> str:
    """One character for a device, as `LEGEND` says."""
    if device["state"] != "shared":
        return {"free": ".", "exclusive": "#", "mig": "M", "failed": "x"}.get(device["state"], "?")
    return str(min(9, max(1, (1000 - device["free_milli"]) // 100)))


def devices_text(node: Json) -> str:
    """`..5#`, a character a device; with `!` behind it when the node takes nothing new."""
    return "".join(map(symbol, node["devices"])) + (" !" if node["is_cordoned"] else "")


def holders_text(devices: Iterable[Json]) -> str:
    """Who holds how much of these devices: `acme/chat 1.5, globex/code 0.5, others 0.3`; the largest first."""
    held, names, others = Counter[str](), dict[str, str](), 0
    for device in devices:
        others += device["others_milli"]
        for holder in device["holders"]:
            held[holder["deployment_id"]] += holder["gpu_milli"]
            names[holder["deployment_id"]] = whose(holder)
    said = [f"{names[about]} {milli / 1000:g}" for about, milli in held.most_common(MOST_HOLDERS)]
    if len(held) > MOST_HOLDERS:
        said.append(f"{len(held) - MOST_HOLDERS} more")
    return ", ".join(said + [f"others {others / 1000:g}"] * bool(others))


def whose(holder: Json) -> str:
    """`acme/chat`."""
    return f"{holder['tenant'] or holder['tenant_id']}/{holder['deployment'] or holder['deployment_id']}"


def holder_text(holder: Json) -> str:
    """`acme/chat 0.5 (replica 3)`; of a gang `(replica 3.1)`, of a slice `acme/chat 1g.10gb@3 (replica 3)`."""
    profile = holder["mig_profile"]
    amount = f"{profile}@{holder['mig_start']}" if profile else f"{holder['gpu_milli'] / 1000:g}"
    worker = f".{holder['worker']}" if holder["worker"] else ""
    return f"{whose(holder)} {amount} (replica {holder['replica']}{worker})"


def device_text(device: Json) -> str:
    """Everybody on a device."""
    said = [holder_text(holder) for holder in device["holders"]]
    return ", ".join(said + [f"others {device['others_milli'] / 1000:g}"] * bool(device["others_milli"]))


def free_text(devices: Iterable[Json]) -> str:
    """GPUs that nobody holds."""
    return f"{sum(device['free_milli'] for device in devices) / 1000:g}"


def by_model(nodes: Sequence[Json]) -> list[Json]:
    """A row for each model of GPU: nodes, devices by state, what is free. Those with the most devices first."""
    rows: dict[str, Json] = {}
    for node in nodes:
        row = rows.setdefault(node["gpu_model"], {"model": node["gpu_model"] or "no GPU", "nodes": 0, "devices": 0})
        row["nodes"] += 1
        row["devices"] += len(node["devices"])
        row["free_milli"] = row.get("free_milli", 0) + sum(device["free_milli"] for device in node["devices"])
        for state in STATES:
            count = sum(device["state"] == state for device in node["devices"])
            row[state] = row.get(state, 0) + count
    return sorted(rows.values(), key=lambda row: (-row["devices"], row["model"]))


MODEL_FIELDS: dict[str, Cell] = {
    "GPU": "model",
    "nodes": "nodes",
    "devices": "devices",
    **{state: state for state in STATES},
    "GPUs free": gpus("free_milli"),
}
NODE_FIELDS: dict[str, Cell] = {
    "node": "node",
    "pool": "pool",
    "zone": "zone",
    "GPU": "gpu_model",
    "devices": devices_text,
    "GPUs free": lambda node: free_text(node["devices"]),
    "who": lambda node: holders_text(node["devices"]),
}
DEVICE_FIELDS: dict[str, Cell] = {
    "node": "node",
    "device": "index",
    "state": "state",
    "free": gpus("free_milli"),
    "who": device_text,
}
