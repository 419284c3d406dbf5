"""Contenders run in turn, after one round that does not count."""

from __future__ import annotations

from bench.rounds import Contender, compare


def contender(name: str, ran: list[str], *rates: float) -> Contender:
    """One that notes each run, and reaches these rates one after the other."""
    left = iter(rates)

    async def run() -> float:
        ran.append(name)
        return next(left)

    return run


async def test_they_run_in_turn_and_the_first_round_of_each_is_thrown_away() -> None:
    ran: list[str] = []
    kit, bare = contender("kit", ran, 1, 20, 30), contender("bare", ran, 1, 40, 60)
    comparison = await compare(kit, bare, rounds=2, aim=0.25)
    assert ran == ["kit", "bare"] * 3
    assert comparison.kit.per_second == (20, 30)
    assert comparison.baseline.per_second == (40, 60)
    assert (comparison.ratio, comparison.aim) == (0.5, 0.25)
