"""The garbage collector of a process: what is loaded is left alone, what is in flight is seldom searched."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from services.kit import garbage
from services.kit.service import Service


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The test session keeps its own settings."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def collections_during(count: int) -> int:
    """Collections while `count` tracked objects come to life and stay."""
    before = collections()
    alive = [[number] for number in range(count)]
    assert len(alive) == count
    return collections() - before


def collections() -> int:
    """Collections since the process began."""
    return int(sum(generation["collections"] for generation in gc.get_stats()))


def test_what_lives_is_frozen_and_a_batch_in_flight_is_not_searched() -> None:
    garbage.settle()
    assert gc.get_freeze_count() > 0
    assert collections_during(7_000) == 0


def test_cycles_are_still_found() -> None:
    garbage.settle()
    assert collections_during(2 * garbage.YOUNG_OBJECTS) > 0


async def test_every_process_does_it() -> None:
    class Nothing:
        name = "nothing"

        async def run(self, stopping: object) -> None:
            """Return at once."""

    await Service("test", [Nothing()]).run()
    assert gc.get_threshold()[0] == garbage.YOUNG_OBJECTS
