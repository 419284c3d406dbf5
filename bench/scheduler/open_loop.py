"""How long a placement takes at a fixed rate: due times are fixed beforehand, so that a stall is not hidden."""

from __future__ import annotations

import time

from bench.scheduler.asking import asking, in_turn, sequence_of
from bench.scheduler.world import World
from bench.statistics import Latencies
from schemas.placement import CapacityReleased, CapacityReserved, ReserveCapacity
from schemas.topics import PLACEMENT_EVENTS

PATIENCE_SECONDS = 60.0


def at_rate(world: World, per_second: float, seconds: float, held: int, seed: int) -> Latencies:
    """Milliseconds from when each request was due until its CapacityReserved was read; releases go out at the same
    rate beside them."""
    count = int(per_second * seconds)
    commands = list(in_turn(asking(world.pods, count, seed), held))
    messages = [(world.encoded(each, sequence_of(each)), isinstance(each, ReserveCapacity)) for each in commands]
    hearing = world.hearing(PLACEMENT_EVENTS.name)
    due: dict[str, float] = {}
    try:
        started = time.perf_counter() + 0.5
        for message, is_request in messages:
            if is_request:
                moment = started + len(due) / per_second
                _wait_until(world, moment)
                due[message.key.decode()] = moment
            world.send(message)
        world.flush()
        hearing.wait_for(CapacityReleased.type, count, PATIENCE_SECONDS)
    finally:
        hearing.close()
    reserved = hearing.heard[CapacityReserved.type]
    assert len(reserved) > 0.99 * count, "the cluster was full"
    return Latencies(tuple((each.at - due[each.key]) * 1000 for each in reserved))


def _wait_until(world: World, moment: float) -> None:
    while (left := moment - time.perf_counter()) > 0:
        world.producer.poll(0)
        time.sleep(min(left, 0.002))
