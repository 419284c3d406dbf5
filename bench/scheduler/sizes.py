"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Bounds of one run."""

    rounds: int = 3
    """Measured rounds of sustained placing, of the service and by hand."""
    placements: int = 15_000
    """Requests a round; each is released again."""
    held: int = 1_500
    """Requests that hold their places at a time: far less than the cluster has."""
    batch: int = 500
    """Commands that the hand-written side takes in one transaction."""
    per_second: float = 500
    """Requests of the open loop, and as many releases."""
    seconds: float = 20
    """Of the open loop."""
    gangs: int = 20
    """Of each kind, asked for on a full cluster."""
    trips: int = 200
    """Bare Kafka round trips."""


QUICK = Sizes(rounds=1, placements=3_000, held=600, seconds=5, gangs=3, trips=50)
"""To see that it works; the figures say little."""
