"""How long it takes to say that 64 GPUs cannot be had, and why, when the cluster is full."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.scheduler.asking import release, reserve
from bench.scheduler.hearing import Hearing
from bench.scheduler.world import World
from bench.statistics import Latencies
from schemas.placement import CapacityQueued, CapacityReleased, CapacityReserved, ReserveCapacity
from schemas.resources import Resources
from schemas.topics import PLACEMENT_EVENTS

PATIENCE_SECONDS = 60.0
ONE_GPU = Resources(gpu_count=1, gpu_milli=1000, cpu_milli=0, memory_mib=0)
WHOLE_NODE = Resources(gpu_count=8, gpu_milli=1000, cpu_milli=8000, memory_mib=65_536)
GANGS = {
    "8 replicas of 8 GPUs": (WHOLE_NODE, 8),
    "1 replica of 8 workers of 8 GPUs": (WHOLE_NODE.model_copy(update={"workers": 8}), 1),
}
GPUS = "SELECT sum(gpu_count) FROM nodes WHERE is_present"
AT_ONCE = 250
"""GPUs of one of the requests that fill the cluster: what is said of it stays small."""


@contextmanager
def full(world: World) -> Iterator[None]:
    """Every GPU of the cluster is taken, one by one, within the block."""
    gpus = world.fetch_value(GPUS)
    parts = [AT_ONCE] * (gpus // AT_ONCE) + ([gpus % AT_ONCE] if gpus % AT_ONCE else [])
    fillers = [reserve(ONE_GPU, replicas) for replicas in parts]
    hearing = world.hearing(PLACEMENT_EVENTS.name)
    try:
        world.tell(*fillers)
        hearing.wait_for(CapacityReserved.type, len(fillers), PATIENCE_SECONDS)
        yield
        world.tell(*map(release, fillers))
        hearing.wait_for(CapacityReleased.type, len(fillers), PATIENCE_SECONDS)
    finally:
        hearing.close()


def until_refused(world: World, kind: str, count: int) -> tuple[Latencies, str]:
    """Milliseconds from asking for the gang until CapacityQueued was read, one after the other; and the last reason."""
    resources, replicas = GANGS[kind]
    hearing = world.hearing(PLACEMENT_EVENTS.name)
    try:
        times = [_until_queued(world, hearing, reserve(resources, replicas), number) for number in range(count)]
        said = json.loads(hearing.heard[CapacityQueued.type][-1].value)
    finally:
        hearing.close()
    return Latencies(tuple(times)), f"{said['reason']}: {said['detail']}"


def _until_queued(world: World, hearing: Hearing, request: ReserveCapacity, number: int) -> float:
    started = time.perf_counter()
    world.tell(request)
    queued = hearing.wait_for(CapacityQueued.type, number + 1, PATIENCE_SECONDS)[-1]
    world.tell(release(request))
    hearing.wait_for(CapacityReleased.type, number + 1, PATIENCE_SECONDS)
    return (queued.at - started) * 1000
