"""How many placements a second the service keeps up, each with its release, while the log is never empty."""

from __future__ import annotations

from bench.scheduler.asking import asking, in_turn, sequence_of
from bench.scheduler.world import World
from schemas.placement import CapacityQueued, CapacityRejected, CapacityReleased, CapacityReserved
from schemas.topics import PLACEMENT_EVENTS

PATIENCE_SECONDS = 300.0
LEFT = "SELECT count(*) FROM reservations WHERE state <> 'ended'"


def placements_per_second(world: World, count: int, held: int, seed: int) -> float:
    """From the first CapacityReserved to the last one, as they are read from the topic.

    All commands are in Kafka, or on their way, before the first is decided; nothing may be refused, and in the end
    nothing may be left. Of the few that have to wait, for the cluster has few of the largest nodes, some are released
    before it is their turn.
    """
    messages = [
        world.encoded(command, sequence_of(command)) for command in in_turn(asking(world.pods, count, seed), held)
    ]
    hearing = world.hearing(PLACEMENT_EVENTS.name)
    try:
        for message in messages:
            world.send(message)
        world.flush()
        hearing.wait_for(CapacityReleased.type, count, PATIENCE_SECONDS)
    finally:
        hearing.close()
    assert not hearing.heard[CapacityRejected.type], "the bench asked for what is refused"
    assert world.fetch_value(LEFT) == 0, "something was not released"
    assert len(hearing.heard[CapacityQueued.type]) < count / 100, "the cluster was full"
    reserved = hearing.heard[CapacityReserved.type]
    return (len(reserved) - 1) / (reserved[-1].at - reserved[0].at)
