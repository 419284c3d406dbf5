"""Runs all of it on one cluster: sustained placing, the service and by hand in turn; the open loop; the gangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg

from bench.ground import prepared, real_parts
from bench.machine import load, this_machine, versions_of
from bench.pipeline import floor, handling
from bench.scheduler import gang, open_loop, sustained
from bench.scheduler.asking import asking, in_turn, sequence_of
from bench.scheduler.by_hand import ByHand
from bench.scheduler.report import Gang, Report
from bench.scheduler.sizes import Sizes
from bench.scheduler.world import World, scheduler_databases, scheduler_world
from bench.statistics import Latencies, Rates
from infra.local.stack import Addresses
from services.kit import garbage

WARM_UP = 1_000
PARTITIONS = 6
SEED = 1


def run(policy: str, sizes: Sizes, say: Callable[[str], None]) -> Report:
    """Measure everything, telling `say` what is under way; nothing that was started here runs afterwards."""
    taken_at, load_before = datetime.now(UTC), load()
    garbage.settle()
    say("starting Kafka, Postgres and the scheduler")
    with real_parts("kafka", "postgres") as addresses:
        dsn, other_dsn = scheduler_databases(addresses.postgres_dsn, 2)
        with scheduler_world(addresses, dsn, policy) as world:
            say("sustained")
            service, by_hand = _sustained(addresses, other_dsn, world, sizes)
            say(f"{sizes.per_second:.0f} a second")
            at_rate = open_loop.at_rate(world, sizes.per_second, sizes.seconds, sizes.held, SEED)
            say("gangs on a full cluster")
            gangs = _gangs(world, sizes.gangs)
        round_trip, versions = asyncio.run(_floor(addresses, sizes.trips))
    loads = load_before, load()
    return Report(taken_at, this_machine(versions), loads, policy, sizes, service, by_hand, at_rate, round_trip, gangs)


def _sustained(addresses: Addresses, dsn: str, world: World, sizes: Sizes) -> tuple[Rates, Rates]:
    sustained.placements_per_second(world, WARM_UP, sizes.held, SEED)
    service, by_hand = [], []
    for number in range(sizes.rounds):
        service.append(sustained.placements_per_second(world, sizes.placements, sizes.held, SEED + number))
        by_hand.append(asyncio.run(_by_hand(addresses, dsn, world, sizes, SEED + number)))
    return Rates(tuple(service)), Rates(tuple(by_hand))


async def _by_hand(addresses: Addresses, dsn: str, world: World, sizes: Sizes, seed: int) -> float:
    commands = list(in_turn(asking(world.pods, sizes.placements, seed), sizes.held))
    async with prepared(addresses, handling.TABLES) as ground:
        topics = ground.topic("commands", PARTITIONS), ground.topic("answers", PARTITIONS)
        for each in commands:
            world.send(world.encoded(each, sequence_of(each))._replace(topic=topics[0]))
        world.flush()
        connection = await asyncpg.connect(dsn)
        try:
            contender = ByHand(ground.bootstrap, connection, *topics)
            return await contender.placements_per_second(len(commands), sizes.batch)
        finally:
            await connection.close()


def _gangs(world: World, count: int) -> dict[str, Gang]:
    with gang.full(world):
        return {kind: Gang(*gang.until_refused(world, kind, count)) for kind in gang.GANGS}


async def _floor(addresses: Addresses, count: int) -> tuple[Latencies, dict[str, str]]:
    async with prepared(addresses, handling.TABLES) as ground:
        return await floor.round_trips(ground, count), await versions_of(addresses)
