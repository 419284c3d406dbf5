"""Numbers that look random and are the same for ever."""

from __future__ import annotations

import numpy as np

from services.scheduler.domain.nodes.cluster import Ints


def draws(numbers: Ints) -> Ints:
    """A draw for each number, 0 to 2^62 - 1, always the same for the same number: the finaliser of SplitMix64."""
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(2), np.int64)
