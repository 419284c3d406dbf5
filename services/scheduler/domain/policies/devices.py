"""Choices of devices on one node that several policies share."""

from __future__ import annotations

import numpy as np

from services.scheduler.domain.nodes.cluster import Ints
from services.scheduler.domain.nodes.shape import Shape


def tightest(free: Ints, shape: Shape) -> tuple[int, ...]:
    """The devices with the least free that still fit; lowest index on a tie. Whole GPUs: the lowest free indexes."""
    return _first(free, shape, by=free)


def emptiest(free: Ints, shape: Shape) -> tuple[int, ...]:
    """The devices with the most free; lowest index on a tie."""
    return _first(free, shape, by=-free)


def _first(free: Ints, shape: Shape, by: Ints) -> tuple[int, ...]:
    fitting = np.flatnonzero(free >= shape.gpu_milli)
    order = fitting[np.argsort(by[fitting], kind="stable")]
    return tuple(sorted(int(device) for device in order[: shape.gpu_count]))
