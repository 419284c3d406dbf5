"""Runs a policy through the arrivals of one seed and notes what was placed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from bench.placement.arrivals import Run
from schemas.resources import Allocation, Resources
from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.interface import Policy


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to."""

    asked: Ints
    """Thousandths of a GPU that each pod asks for, in order of arrival, shape (pods,)."""
    placed: Ints
    """The same where the pod was placed, otherwise 0, shape (pods,)."""
    gpu_milli: int
    """What the nodes have."""
    seconds: float
    """Time from the first arrival to the last decision."""


def run_policy(run: Run, policy: Policy, memory: str = "") -> Outcome:
    """Offer the pods one after another to the policy; a pod that fits nowhere is dropped, and none ever leaves."""
    cluster = Cluster(run.nodes)
    chooser = policy.chooser(cluster, memory)
    asked = np.array([shape.total_gpu_milli for shape in run.arrivals], np.int64)
    was_placed = np.zeros(asked.size, np.bool_)
    demands = {shape: _resources(shape) for shape in set(run.arrivals)}
    started = time.perf_counter()
    for number, shape in enumerate(run.arrivals):
        choice = chooser.best(shape)
        if choice is not None:
            milli = shape.gpu_milli if choice.devices else 0
            node = cluster.nodes[choice.row].name
            cluster.take(demands[shape], Allocation(replica=0, node=node, devices=choice.devices, gpu_milli=milli))
            was_placed[number] = True
        chooser.saw(shape)
    seconds = time.perf_counter() - started
    return Outcome(asked, np.where(was_placed, asked, 0), run.gpu_milli, seconds)


def _resources(shape: Shape) -> Resources:
    return Resources(
        gpu_count=shape.gpu_count,
        gpu_milli=shape.gpu_milli,
        gpu_models=shape.gpu_models,
        cpu_milli=shape.cpu_milli,
        memory_mib=shape.memory_mib,
    )
