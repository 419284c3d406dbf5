"""Short ways to say what is given and what a policy makes of it."""

from __future__ import annotations

from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.interface import Choice, Chooser


def cluster(**free: list[int]) -> Cluster:
    """Nodes with these free thousandths of each device, 64 cores, 256 GiB; the model is the name's first letter."""
    made = Cluster(Node(name, 64_000, 262_144, len(devices), name[0]) for name, devices in free.items())
    for name, devices in free.items():
        for index, milli in enumerate(devices):
            if milli < 1000:
                taken = Allocation(replica=0, node=name, devices=(index,), gpu_milli=1000 - milli)
                made.take(Resources(gpu_count=1, gpu_milli=1000 - milli, cpu_milli=0, memory_mib=0), taken)
    return made


def gpu(count: int = 1, milli: int = 1000, *models: str, cpu: int = 1000, memory: int = 1024) -> Shape:
    """A pod with so many devices, so much of each."""
    return Shape(cpu, memory, count, milli, models)


def cpu_only(cpu: int = 1000, memory: int = 1024) -> Shape:
    """A pod without GPU."""
    return Shape(cpu, memory, 0, 0)


def resources_of(shape: Shape) -> Resources:
    """The demand of one replica of this shape."""
    return Resources(
        gpu_count=shape.gpu_count,
        gpu_milli=shape.gpu_milli,
        gpu_models=shape.gpu_models,
        cpu_milli=shape.cpu_milli,
        memory_mib=shape.memory_mib,
    )


def allocation_of(given: Cluster, shape: Shape, choice: Choice) -> Allocation:
    """The choice as an allocation."""
    milli = shape.gpu_milli if choice.devices else 0
    return Allocation(replica=0, node=given.nodes[choice.row].name, devices=choice.devices, gpu_milli=milli)


def take(given: Cluster, shape: Shape, choice: Choice) -> Allocation:
    """Take what was chosen."""
    allocation = allocation_of(given, shape, choice)
    given.take(resources_of(shape), allocation)
    return allocation


def chosen(given: Cluster, chooser: Chooser, shape: Shape) -> tuple[str, tuple[int, ...]] | None:
    """Name of the node and devices."""
    choice = chooser.best(shape)
    return (given.nodes[choice.row].name, choice.devices) if choice else None
