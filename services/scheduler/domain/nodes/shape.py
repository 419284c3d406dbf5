"""The shape of a pod's demand: what policies keep scores by."""

from __future__ import annotations

from typing import NamedTuple

from schemas.resources import WHOLE_GPU_MILLI, Resources


class Shape(NamedTuple):
    """What one pod needs of one node. Equal demands have equal shapes; a MIG slice has none (see `placing.slices`)."""

    cpu_milli: int
    memory_mib: int
    gpu_count: int
    """Devices, 0 to 8."""
    gpu_milli: int
    """Thousandths of each device; below 1000 only with one device."""
    gpu_models: tuple[str, ...] = ()
    """Models that will do, in alphabetical order; empty = any."""

    @property
    def total_gpu_milli(self) -> int:
        """Thousandths of a GPU over all devices."""
        return self.gpu_count * self.gpu_milli


def shape_of(resources: Resources) -> Shape:
    """The shape of each of a replica's pods; of a MIG slice that of the whole device which has to be cut for it."""
    milli = WHOLE_GPU_MILLI if resources.mig_profile else resources.gpu_milli
    return Shape(
        resources.cpu_milli, resources.memory_mib, resources.gpu_count, milli, tuple(sorted(resources.gpu_models))
    )


class Seen(NamedTuple):
    """A request as a policy remembers it."""

    arrival: int
    """Number of its input among those that the pool applied."""
    shape: Shape
    pods: int
    """Pods of this shape that were asked for."""


def seen_of(arrival: int, resources: Resources, replicas: int) -> Seen:
    """What a policy remembers of a request for so many replicas."""
    return Seen(arrival, shape_of(resources), replicas * resources.workers)
