"""Where a MIG slice goes: which device, and at which memory slice it starts.

Slices neither move nor resize while they are in use. A device that holds some takes another one where NVIDIA lets it
start; only an idle device is cut anew, and it is whole again when its last slice is gone. Among the devices that are
cut already, the slice goes where it costs the fewest of the placements that NVIDIA allows, over all profiles: so a
`1g` does not take the place of the last `3g`. An idle device is cut only when no other will do; the policy chooses it.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from schemas.mig import KIND_OF_MODEL, PROFILES, MigProfile, profile_of
from schemas.resources import WHOLE_GPU_MILLI, Allocation, Resources
from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import shape_of
from services.scheduler.domain.policies.interface import Chooser

NOWHERE = 1_000_000
"""Cost of a slice that has no legal start left."""
MASKS = 256
"""Sets of the 8 memory slices."""


def _placements(kind: str, occupied: int) -> int:
    """Placements of single slices that are still legal, over all profiles of this kind of GPU."""
    return sum(occupied & profile.mask(start) == 0 for profile in PROFILES[kind] for start in profile.starts)


@cache
def starts(kind: str, name: str) -> tuple[Ints, Ints]:
    """For each set of occupied memory slices: the best start of the profile, and the placements that it costs there.

    Both of shape (256,); without a legal start -1 and `NOWHERE`. The lowest start wins among equals.
    """
    profile = next(each for each in PROFILES[kind] if each.name == name)
    best = [_best_start(kind, profile, occupied) for occupied in range(MASKS)]
    return np.array([start for start, _ in best], np.int64), np.array([cost for _, cost in best], np.int64)


def _best_start(kind: str, profile: MigProfile, occupied: int) -> tuple[int, int]:
    left = _placements(kind, occupied)
    legal = [start for start in profile.starts if occupied & profile.mask(start) == 0]
    costs = [(left - _placements(kind, occupied | profile.mask(start)), start) for start in legal]
    cost, start = min(costs, default=(NOWHERE, -1))
    return start, cost


def rows_with(cluster: Cluster, name: str, allowed: Flags) -> dict[str, Flags]:
    """Of the allowed rows those whose GPUs have the profile, by kind of GPU."""
    found: dict[str, Flags] = {}
    for model, kind in KIND_OF_MODEL.items():
        if profile_of(model, name) is not None:
            rows = allowed & np.isin(cluster.model, cluster.model_codes([model]))
            found[kind] = found.get(kind, np.zeros_like(rows)) | rows
    return found


def place_slice(
    cluster: Cluster, resources: Resources, allowed: Flags, chooser: Chooser, replica: int, worker: int
) -> Allocation | None:
    """The place of one slice on an allowed row; None when there is none."""
    rows = rows_with(cluster, resources.mig_profile, allowed)
    cut = _on_a_cut_device(cluster, resources, rows)
    if cut is None:
        choice = chooser.best(shape_of(resources), np.logical_or.reduce(list(rows.values())) if rows else ~allowed)
        if choice is None:
            return None
        row, device = choice.row, choice.devices[0]
        kind = KIND_OF_MODEL[cluster.nodes[row].gpu_model]
        start = int(starts(kind, resources.mig_profile)[0][0])
    else:
        row, device, start = cut
    return Allocation(
        replica=replica,
        worker=worker,
        node=cluster.nodes[row].name,
        devices=(device,),
        gpu_milli=resources.gpu_milli,
        mig_profile=resources.mig_profile,
        mig_start=start,
    )


def _on_a_cut_device(cluster: Cluster, resources: Resources, rows: dict[str, Flags]) -> tuple[int, int, int] | None:
    """Row, device and start on the device that is cut already where the slice costs least; lowest row on a tie."""
    occupied = cluster.device_slices | cluster.slices_held
    usable = (cluster.cpu_free >= resources.cpu_milli) & (cluster.memory_free >= resources.memory_mib)
    best: tuple[int, int, int, int] | None = None
    for kind, here in rows.items():
        first, cost = starts(kind, resources.mig_profile)
        candidates = cluster.takes_slices & (here & usable & cluster.is_open)[:, None]
        costs = np.where(candidates, cost[occupied], NOWHERE)
        if costs.size and costs.min() < NOWHERE:
            row, device = divmod(int(costs.argmin()), costs.shape[1])
            found = (int(costs[row, device]), row, device, int(first[occupied[row, device]]))
            best = found if best is None else min(best, found)
    return None if best is None else best[1:]


def slices_on(cluster: Cluster, name: str) -> Ints:
    """Slices of this profile that the devices of each row could take now, shape (nodes,); CPU and memory are not looked
    at. Exact, because starts of one profile either coincide or are disjoint."""
    occupied = cluster.device_slices | cluster.slices_held
    usable = cluster.takes_slices | (cluster.device_free == WHOLE_GPU_MILLI)
    total = np.zeros(len(cluster), np.int64)
    for kind, rows in rows_with(cluster, name, np.ones(len(cluster), np.bool_)).items():
        total += np.where(usable & rows[:, None], _room(kind, name)[occupied], 0).sum(axis=1)
    return total


def slices_a_device(gpu_model: str, name: str) -> int:
    """Slices of this profile that one idle GPU of the model can be cut to; 0 when it cannot."""
    return slices_beside(gpu_model, name, 0)


@cache
def slices_beside(gpu_model: str, name: str, occupied: int) -> int:
    """Slices of this profile that one GPU of the model can take beside the occupied memory slices."""
    return 0 if profile_of(gpu_model, name) is None else int(_room(KIND_OF_MODEL[gpu_model], name)[occupied])


@cache
def _room(kind: str, name: str) -> Ints:
    """For each set of occupied memory slices: how many slices of the profile fit beside them, shape (256,)."""
    profile = next(each for each in PROFILES[kind] if each.name == name)
    return np.array(
        [sum(occupied & profile.mask(start) == 0 for start in profile.starts) for occupied in range(MASKS)], np.int64
    )
