"""Parts of sentences: amounts, demands, places, replicas. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from schemas.resources import Allocation, Resources, Sharing, Topology

MAX_PLACES = 8
"""Nodes or replicas that a sentence names before it counts the rest."""
ZONES = {Topology.ANY: "", Topology.PREFER_SAME_ZONE: " in one zone if possible", Topology.SAME_ZONE: " in one zone"}


def gpus(milli: int) -> str:
    """Thousandths of a GPU as `0.5 GPU`, `1 GPU`, `2 GPUs`."""
    return f"{milli / 1000:g} GPU{'s' if milli > 1000 else ''}"


def count(number: int, noun: str) -> str:
    """`1 replica`, `3 replicas`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def numbered(numbers: Sequence[int], noun: str = "replica") -> str:
    """`replica 3`, `replicas 0, 2`, `replicas 0, 1, 2, 3, 4, 5, 6, 7 and 4 more`."""
    named = ", ".join(map(str, numbers[:MAX_PLACES]))
    rest = f" and {len(numbers) - MAX_PLACES} more" if len(numbers) > MAX_PLACES else ""
    return f"{noun}{'' if len(numbers) == 1 else 's'} {named}{rest}"


def moment(at: datetime) -> str:
    """`2026-03-01 12:00:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def demand(resources: Resources) -> str:
    """What one replica needs: `0.5 GPU`, `2 GPUs of A100 or H100`, `a 1g.10gb slice`, `4 pods with 8 GPUs each`, `CPU
    only`."""
    pod = _demand_of_pod(resources)
    if resources.workers == 1:
        return pod
    return f"{resources.workers} pods with {pod} each{ZONES[resources.topology]}"


def _demand_of_pod(resources: Resources) -> str:
    if resources.sharing is Sharing.NONE:
        return "CPU only"
    models = f" of {' or '.join(resources.gpu_models)}" if resources.gpu_models else ""
    if resources.sharing is Sharing.MIG:
        return f"a {resources.mig_profile} slice{models}"
    return gpus(resources.gpu_count * resources.gpu_milli) + models


def because(reason: str) -> str:
    """The reason as the end of a sentence."""
    reason = reason.strip().rstrip(".")
    return f": {reason}." if reason else "."


def percents(weights: Iterable[int]) -> str:
    """Stages as `10 → 25 → 100 %`."""
    return " → ".join(str(weight) for weight in weights) + " %"


def places(allocations: Iterable[Allocation]) -> str:
    """Where replicas go: `2 replicas on node-1 (devices 0, 3), 1 replica on node-2`. Of gangs the pods are counted."""
    everything = tuple(allocations)
    noun = "pod" if any(allocation.worker for allocation in everything) else "replica"
    by_node: dict[str, list[Allocation]] = {}
    for allocation in everything:
        by_node.setdefault(allocation.node, []).append(allocation)
    named = [_place(node, here, noun) for node, here in list(by_node.items())[:MAX_PLACES]]
    if len(by_node) > MAX_PLACES:
        named.append(f"the rest on {count(len(by_node) - MAX_PLACES, 'more node')}")
    return ", ".join(named) or "no node needed"


def _place(node: str, here: list[Allocation], noun: str) -> str:
    where = _slices(here) or _devices(here)
    return f"{count(len(here), noun)} on {node}{f' ({where})' if where else ''}"


def _devices(here: list[Allocation]) -> str:
    devices = sorted({device for allocation in here for device in allocation.devices})
    return numbered(devices, "device") if devices else ""


def _slices(here: list[Allocation]) -> str:
    cut = sorted((each.devices, each.mig_start or 0, each.mig_profile) for each in here if each.mig_profile)
    return ", ".join(f"{profile} at {start} of device {devices[0]}" for devices, start, profile in cut)
