"""Rounds: the contenders run in turn, A B A B, so that a change of the machine's mood meets both."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

from bench.statistics import Comparison, Rates

Contender = Callable[[], Awaitable[float]]
"""One round of one contender: does the work, returns messages per second."""


async def compare(kit: Contender, baseline: Contender, *, rounds: int, aim: float) -> Comparison:
    """`rounds` measured rounds of both in turn, after one round of each that warms up and is thrown away."""
    reached: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for contender, rates in zip((kit, baseline), reached, strict=True):
            gc.collect()  # nobody pays for what the other left
            rate = await contender()
            if number:
                rates.append(rate)
    return Comparison(Rates(tuple(reached[0])), Rates(tuple(reached[1])), aim)
