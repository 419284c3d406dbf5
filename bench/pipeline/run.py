"""Runs what was asked for: the kit's parts on Kafka and Postgres alone, then the whole way on a platform."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime

from bench.ground import Ground, prepared, real_parts
from bench.machine import load, this_machine, versions_of
from bench.pipeline import consuming, handling, latency, producing
from bench.pipeline.report import Report
from bench.pipeline.sizes import Sizes
from bench.stages import Measured
from infra.local.stack import Addresses
from services.kit import garbage

Measure = Callable[[Ground, Sizes], Awaitable[Measured]]

MEASURES: dict[str, Measure] = {
    "producing": lambda ground, sizes: producing.measure(
        ground, count=sizes.produced, in_flight=sizes.in_flight, rounds=sizes.rounds
    ),
    "consuming": lambda ground, sizes: consuming.measure(ground, count=sizes.consumed, rounds=sizes.rounds),
    "handling": lambda ground, sizes: handling.measure(
        ground, count=sizes.handled, batch=sizes.batch, rounds=sizes.rounds
    ),
    "handling_singly": lambda ground, sizes: handling.measure(
        ground, count=sizes.handled_singly, batch=1, rounds=sizes.rounds
    ),
    "handling_on_driver": lambda ground, sizes: handling.measure(
        ground, count=sizes.handled, batch=sizes.batch, rounds=sizes.rounds, on_driver=True
    ),
}
LATENCY = "latency"
NAMES = (*MEASURES, LATENCY)


def run(names: Collection[str], sizes: Sizes, say: Callable[[str], None]) -> Report:
    """Measure `names`, telling `say` what is under way; nothing that was started here runs afterwards."""
    taken_at, load_before = datetime.now(UTC), load()
    garbage.settle()  # as in every process of the platform; the hand-written side gains by it too
    measured: dict[str, Measured] = {}
    versions: dict[str, str] = {}
    if wanted := [name for name in MEASURES if name in names]:
        say("starting Kafka and Postgres")
        with real_parts("kafka", "postgres") as addresses:
            measured, versions = asyncio.run(_measure(addresses, wanted, sizes, say))
    travelled = _travel(sizes, say) if LATENCY in names else None
    return Report(taken_at, this_machine(versions), (load_before, load()), sizes, measured, travelled)


async def _measure(
    addresses: Addresses, names: Collection[str], sizes: Sizes, say: Callable[[str], None]
) -> tuple[dict[str, Measured], dict[str, str]]:
    measured = {}
    async with prepared(addresses, handling.TABLES) as ground:
        for name in names:
            say(name)
            measured[name] = await MEASURES[name](ground, sizes)
    return measured, await versions_of(addresses)


def _travel(sizes: Sizes, say: Callable[[str], None]) -> latency.Latency:
    say("starting the platform")
    with latency.real_platform() as platform:
        say("latency")
        return asyncio.run(
            latency.measure(platform, count=sizes.requests, per_second=sizes.per_second, seconds=sizes.seconds)
        )
