"""Choices of devices on one node that several policies share."""

from __future__ import annotations

import numpy as np

from schemas.resources import Resources
from services.scheduler.domain.cluster import Ints


def tightest(free: Ints, resources: Resources) -> tuple[int, ...]:
    """The devices with the least free that still fit; lowest index on a tie. Whole GPUs: the lowest free indexes."""
    return _first(free, resources, by=free)


def emptiest(free: Ints, resources: Resources) -> tuple[int, ...]:
    """The devices with the most free; lowest index on a tie."""
    return _first(free, resources, by=-free)


def _first(free: Ints, resources: Resources, by: Ints) -> tuple[int, ...]:
    fitting = np.flatnonzero(free >= resources.gpu_milli)
    order = fitting[np.argsort(by[fitting], kind="stable")]
    return tuple(sorted(int(device) for device in order[: resources.gpu_count]))
