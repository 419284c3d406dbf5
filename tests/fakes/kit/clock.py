"""A monotonic clock for tests."""

from __future__ import annotations


class HeldSeconds:
    """A monotonic clock that is moved by hand, seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
