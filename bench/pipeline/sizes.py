"""How much is measured: enough that a round lasts a second or so, little enough that a run lasts some minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Bounds of one run."""

    rounds: int = 7
    """Measured rounds of each contender."""
    produced: int = 100_000
    """Messages a round."""
    in_flight: int = 1_000
    consumed: int = 200_000
    """Messages a round."""
    handled: int = 5_000
    """Messages a round, in batches."""
    batch: int = 500
    handled_singly: int = 500
    """Messages a round, one a transaction."""
    requests: int = 200
    """One at a time."""
    per_second: float = 50
    """Requests under load."""
    seconds: float = 15
    """Of load."""


QUICK = Sizes(rounds=3, produced=10_000, consumed=20_000, handled=2_000, handled_singly=100, requests=30, seconds=3)
"""To see that it works; the figures say little."""
