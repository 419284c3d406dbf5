"""Replicas beyond the minimum: one at a time, only while somebody wants them, and the first to make room."""

from __future__ import annotations

import pytest

from schemas.placement import QueueReason, ReleaseCapacity, ReserveCapacity
from services.deployer.domain.capacity import later_reservation_id
from tests.unit.deployer.scheduler import DEPLOYMENT
from tests.unit.deployer.world import World, stage_zero

FIRST_ELASTIC, SECOND_ELASTIC = (later_reservation_id(DEPLOYMENT, 1, ask) for ask in (1, 2))


@pytest.fixture
async def world() -> World:
    """Revision 1 is settled with 2 replicas, and may have 4."""
    world = World()
    await world.request(1, replicas=2, max_replicas=4)
    await world.run(60)
    assert not world.said(ReserveCapacity)
    return world


def asked(world: World) -> list[tuple[int, bool]]:
    return [(command.replicas, command.is_elastic) for command in world.said(ReserveCapacity)]


def ready(world: World) -> int:
    return world.cluster.view(DEPLOYMENT).ready(1)


@pytest.mark.parametrize(("wanted", "more"), [(None, 0), (1, 0), (2, 0), (3, 1), (4, 2), (9, 2)])
async def test_as_many_as_are_wanted_within_the_range(world: World, wanted: int | None, more: int) -> None:
    world.cluster.wanted_replicas = wanted
    await world.run(20)
    assert asked(world) == [(1, True)] * more
    assert ready(world) == 2 + more
    assert not world.rollout.is_active


async def test_one_at_a_time(world: World) -> None:
    world.scheduler.answers_at_once = False
    world.cluster.wanted_replicas = 4
    await world.run(20)
    assert asked(world) == [(1, True)], "the next one when this one is there"
    world.scheduler.reserve(FIRST_ELASTIC)
    await world.run(5)
    assert asked(world) == [(1, True)] * 2


async def test_what_is_not_wanted_drains_and_is_given_back(world: World) -> None:
    world.cluster.wanted_replicas = 4
    await world.run(20)
    world.cluster.wanted_replicas = 3
    await world.run(20)
    assert world.scheduler.released == {SECOND_ELASTIC: 1}
    world.cluster.wanted_replicas = None
    await world.run(20)
    assert world.scheduler.released == {SECOND_ELASTIC: 1, FIRST_ELASTIC: 1}
    assert ready(world) == 2
    assert world.held() == {stage_zero(1)}


async def test_what_is_not_wanted_any_more_leaves_the_queue(world: World) -> None:
    world.scheduler.answers_at_once = False
    world.cluster.wanted_replicas = 3
    await world.run(5)
    world.cluster.wanted_replicas = None
    await world.run(5)
    assert not world.said(ReleaseCapacity), "an unanswered one might be taken for an unknown one"
    world.scheduler.queue(FIRST_ELASTIC, QueueReason.NO_FREE_CAPACITY, "8 of 8 GPUs are taken")
    await world.run(5)
    assert world.scheduler.released == {FIRST_ELASTIC: 1}


async def test_elastic_replica_makes_room_and_is_not_asked_for_again_at_once(world: World) -> None:
    world.cluster.wanted_replicas = 3
    await world.run(20)
    world.scheduler.preempt(FIRST_ELASTIC, [0])
    await world.run(100)
    assert world.scheduler.released == {FIRST_ELASTIC: 1}
    assert asked(world) == [(1, True)]
    assert ready(world) == 2
    world.scheduler.preempt(stage_zero(1), [0])
    await world.run(20)
    assert asked(world) == [(1, True), (1, False)], "the minimum does not wait for that"
    await world.run(600, step=10)
    assert asked(world)[2:] == [(1, True)]


async def test_next_version_begins_with_the_minimum(world: World) -> None:
    world.cluster.wanted_replicas = 4
    await world.run(20)
    world.cluster.wanted_replicas = None
    await world.request(2, replicas=2, max_replicas=4)
    await world.run(200)
    assert ready(world) == 0
    assert world.cluster.view(DEPLOYMENT).ready(2) == 2
    assert set(world.scheduler.released) == {stage_zero(1), FIRST_ELASTIC, SECOND_ELASTIC}
