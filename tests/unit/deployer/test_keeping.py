"""Places that are lost, and places that others need: what becomes of the pods, the traffic and the reservations."""

from __future__ import annotations

from uuid import uuid4

import pytest

from schemas.placement import QueueReason, ReleaseCapacity, ReserveCapacity
from schemas.rollout import RolloutAborted, RolloutPromoted, StageEntered, TrafficShifted
from schemas.tenant import TenantSuspended
from services.deployer.domain.capacity import later_reservation_id, reservation_id
from services.deployer.domain.model import Phase, Rollout
from services.deployer.domain.observation import CommandKind
from services.deployer.domain.revision import Revision
from tests.unit.deployer.scheduler import CLAIMANT, DEPLOYMENT
from tests.unit.deployer.world import BAD, SILENT, TENANT, World, stage_zero

FIRST = stage_zero(1)
LOST = "DeviceFailed: n1/3 failed"
WANTED = "Priority: 8 GPUs for chat-large"


@pytest.fixture
def world() -> World:
    return World()


def stable_of(rollout: Rollout) -> Revision:
    assert rollout.stable is not None
    return rollout.stable


def ready(world: World, revision: int) -> int:
    return world.cluster.view(DEPLOYMENT).ready(revision)


def releases(world: World) -> list[tuple[int, ...]]:
    return [command.replicas for command in world.said(ReleaseCapacity)]


async def test_lost_replica_is_missed_until_it_has_a_new_place(world: World) -> None:
    await world.promoted(1)
    before = set(world.cluster.live_slots())
    world.scheduler.lose(FIRST, [1])
    world.scheduler.queue(FIRST, QueueReason.NO_FREE_CAPACITY, "32 of 32 GPUs are taken")
    await world.run(5)
    left = set(world.cluster.live_slots())
    assert {slot.replica for slot in before - left} == {1}
    assert left < before, "those that stay are not touched"
    assert world.route() == {1: 100}
    assert world.rollout.reason == ("1 of 4 replicas have no place (NoFreeCapacity: 32 of 32 GPUs are taken)"), (
        "what it lacks is visible"
    )
    assert not world.rollout.is_active, "there is nothing to do but wait for the scheduler"
    world.scheduler.reserve(FIRST)
    await world.run(5)
    assert ready(world, 1) == 4
    assert left < set(world.cluster.live_slots())
    assert world.rollout.reason == ""
    assert not world.said(ReserveCapacity), "the scheduler keeps the claim of what was lost"
    assert not world.said(ReleaseCapacity)


async def test_replica_that_moves_at_once_is_made_anew_at_its_new_place(world: World) -> None:
    """Lost and reserved again between two passes: only the places differ."""
    await world.promoted(1)
    before = set(world.cluster.live_slots())
    world.scheduler.lose(FIRST, [0, 2])
    world.scheduler.reserve(FIRST)
    await world.run(6)
    after = set(world.cluster.live_slots())
    assert {slot.replica for slot in before - after} == {slot.replica for slot in after - before} == {0, 2}
    assert ready(world, 1) == 4


async def test_route_ends_while_no_replica_has_a_place_and_comes_back(world: World) -> None:
    await world.promoted(1)
    world.scheduler.lose(FIRST, range(4))
    await world.run(5)
    assert world.route() == {}
    assert not world.cluster.live_slots()
    world.scheduler.reserve(FIRST)
    await world.run(2)
    assert world.route() == {}, "pods load"
    await world.run(5)
    assert world.route() == {1: 100}
    assert not world.rollout.is_active


async def test_gang_that_loses_one_worker_is_lost_whole(world: World) -> None:
    world.scheduler.workers = 3
    await world.request(1, replicas=2)
    await world.run(1)
    assert len(world.cluster.live_slots()) == 6
    await world.run(60)
    assert world.said(StageEntered)[0].ready_replicas == 2
    world.scheduler.lose(FIRST, [1])
    await world.run(5)
    assert [(slot.replica, slot.worker) for slot in world.cluster.live_slots()] == [(0, 0), (0, 1), (0, 2)]
    assert ready(world, 1) == 1
    world.scheduler.reserve(FIRST)
    await world.run(5)
    assert ready(world, 1) == 2


async def test_rollout_waits_for_lost_replicas_of_the_canary(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=4)
    world.scheduler.lose(stage_zero(2), [0])
    await world.run(100)
    assert world.rollout.phase is Phase.SURGING
    assert world.rollout.reason == LOST
    assert world.route() == {1: 50, 2: 50}, "one of two replicas has its place still"
    world.scheduler.reserve(stage_zero(2))
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPromoted"
    assert [event.stage for event in world.said(StageEntered)] == [0, 0, 1, 2, 2, 3], "the stage begins anew"


async def test_deadline_ends_the_wait_for_lost_replicas(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=4)
    world.scheduler.lose(stage_zero(2), [0])
    await world.run(320, step=5)
    assert world.said(RolloutAborted)[0].reason == f"1 of 2 replicas are ready: {LOST} after 300 s"
    await world.run(20)
    assert world.route() == {1: 100}
    assert world.held() == {FIRST}


async def test_canary_that_lost_every_place_has_no_traffic_meanwhile(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    for _ in range(3):  # as often as devices fail: it is not the fault of the version
        world.scheduler.lose(stage_zero(2), [0])
        await world.run(5)
        assert world.route() == {1: 100}
        assert world.story(2)[-1] == "TrafficShifted 0"
        world.scheduler.reserve(stage_zero(2))
        await world.run(5)
        assert world.route() == {1: 90, 2: 10}
    world.cluster.crash(DEPLOYMENT, 2, seconds=4)
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPromoted", "the first setback that is its own"


async def test_deadline_of_a_setback_does_not_run_in_a_pause(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    await world.command(CommandKind.PAUSE)
    await world.run(100)
    world.cluster.crash(DEPLOYMENT, 2, seconds=450)
    await world.run(400, step=10)
    assert world.route() == {1: 100}, "a pause stops nobody from being safe"
    await world.command(CommandKind.RESUME)
    await world.tick()
    assert world.rollout.since == world.clock.now()
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPromoted"


async def test_stable_serves_with_what_is_left_during_a_rollout(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    world.scheduler.lose(FIRST, [0, 1])
    await world.run(3)
    assert ready(world, 1) == 2
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPromoted"
    assert world.scheduler.released == {FIRST: 1}, "with what the scheduler still looks for"


async def test_canary_takes_over_when_stable_has_no_place_left(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    world.scheduler.lose(FIRST, range(4))
    await world.run(3)
    assert world.route() == {2: 100}
    assert world.story(2)[-1] == "TrafficShifted 100"
    await world.run(200)
    assert world.story(2)[-1] == "RolloutPromoted"
    assert world.held() == {stage_zero(2)} | {reservation_id(DEPLOYMENT, 2, stage) for stage in (2, 3)}


async def test_canary_that_has_everything_keeps_it_until_stable_is_back(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    world.scheduler.lose(FIRST, range(4))
    await world.run(3)
    await world.command(CommandKind.ABORT)
    await world.run(20)
    assert (world.rollout.phase, world.route()) == (Phase.DRAINING, {2: 100})
    world.scheduler.reserve(FIRST)
    await world.run(20)
    assert world.route() == {1: 100}
    assert world.story(2)[-2:] == ["TrafficShifted 0", "RolloutRolledBack"]


async def test_canary_does_not_keep_everything_for_ever(world: World) -> None:
    """Stable may wait for the very GPUs that the canary is on."""
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    world.scheduler.lose(FIRST, range(4))
    await world.run(3)
    await world.command(CommandKind.ABORT)
    await world.run(320, step=5)
    assert world.route() == {}
    assert world.story(2)[-2:] == ["TrafficShifted 0", "RolloutRolledBack"]
    assert world.held() == set()


async def test_abort_does_not_raise_the_canary_when_stable_loses_its_places(world: World) -> None:
    await world.promoted(1)
    world.metrics.of[2] = BAD
    await world.request(2)
    await world.run_until(RolloutAborted)
    world.scheduler.lose(FIRST, range(4))
    await world.run(30)
    assert world.route() == {}
    assert not [event for event in world.said(TrafficShifted) if event.revision == 2 and event.weight > 10]


async def test_preempted_replicas_drain_are_given_back_once_and_come_back(world: World) -> None:
    await world.promoted(1)
    world.scheduler.answers_at_once = False
    world.scheduler.preempt(FIRST, [1, 3])
    await world.tick()
    stable = stable_of(world.rollout)
    assert [(drain.replica, drain.claimant, drain.reason) for drain in stable.draining] == [
        (1, CLAIMANT, WANTED),
        (3, CLAIMANT, WANTED),
    ]
    assert world.rollout.reason == f"2 replicas drain ({WANTED})"
    assert not releases(world), "pods are there still"
    await world.run(5)
    assert world.scheduler.given_back == [(FIRST, (1, 3))]
    assert world.route() == {1: 100}
    assert ready(world, 1) == 2
    again = later_reservation_id(DEPLOYMENT, 1, 1)
    assert [(asked.reservation_id, asked.replicas, asked.is_surge) for asked in world.said(ReserveCapacity)] == [
        (again, 2, False)
    ]
    world.scheduler.queue(again, QueueReason.RESERVED_FOR_OTHER, "it is chat-large's turn")
    await world.run(30)
    assert releases(world) == [(1, 3)]
    assert world.rollout.reason == "2 of 4 replicas have no place (ReservedForOther: it is chat-large's turn)"
    world.scheduler.reserve(again)
    await world.run(5)
    assert ready(world, 1) == 4
    assert not world.rollout.is_active


async def test_route_is_closed_before_the_last_pods_drain(world: World) -> None:
    await world.promoted(1)
    world.scheduler.answers_at_once = False
    world.cluster.route_delay_seconds = 10
    world.scheduler.preempt(FIRST, range(4))
    await world.run(8)
    assert ready(world, 1) == 4, "traffic goes first"
    assert world.cluster.view(DEPLOYMENT).route.weights == {}
    await world.run(10)
    assert world.route() == {}
    assert not world.cluster.live_slots()
    assert releases(world) == [()], "the whole reservation"
    again = later_reservation_id(DEPLOYMENT, 1, 1)
    assert [asked.replicas for asked in world.said(ReserveCapacity)] == [4]
    world.scheduler.reserve(again)
    await world.run(30)
    assert world.route() == {1: 100}
    assert releases(world) == [()]


async def test_drained_pods_wait_for_another_that_is_ready_but_not_for_ever(world: World) -> None:
    await world.promoted(1, replicas=2)
    world.scheduler.answers_at_once = False
    world.scheduler.lose(FIRST, [0])
    world.cluster.load_seconds = 1000
    world.scheduler.reserve(FIRST)
    await world.run(3)
    world.scheduler.preempt(FIRST, [1])
    await world.run(290, step=10)
    assert ready(world, 1) == 1, "the other one loads, so it serves on"
    assert not releases(world)
    await world.run(30, step=10)
    assert releases(world) == [(1,)], "who needs the room does not wait longer than the deadline"


async def test_withdrawn_preemption_leaves_what_has_not_drained(world: World) -> None:
    await world.promoted(1)
    before = set(world.cluster.live_slots())
    world.cluster.drain_seconds = 20
    world.scheduler.preempt(FIRST, [1])
    world.scheduler.withdraw(FIRST)
    await world.run(2)
    assert set(world.cluster.live_slots()) == before
    world.scheduler.preempt(FIRST, [1])
    await world.run(2)
    world.scheduler.withdraw(FIRST)
    await world.run(40)
    assert set(world.cluster.live_slots()) == before, "a pod that had begun to end is made again"
    assert ready(world, 1) == 4
    assert not releases(world)
    assert not stable_of(world.rollout).draining


async def test_withdrawal_that_comes_too_late_changes_nothing(world: World) -> None:
    await world.promoted(1)
    world.scheduler.preempt(FIRST, [1])
    await world.tick()
    world.clock.advance(2)
    owner_says = len(world.store.said)
    await world.tick()
    assert releases(world) == [(1,)]
    assert len(world.store.said) > owner_says
    world.scheduler.withdraw(FIRST)
    await world.run(10)
    assert releases(world) == [(1,)]
    assert ready(world, 1) == 4, "by the reservation that was asked for again"


async def test_each_claimant_has_its_replicas_back_once(world: World) -> None:
    await world.promoted(1)
    world.scheduler.preempt(FIRST, [0], uuid4())
    world.scheduler.preempt(FIRST, [2, 3], uuid4())
    world.scheduler.answers_at_once = False
    await world.run(10)
    assert sorted(releases(world)) == [(0,), (2, 3)]
    assert ready(world, 1) == 1
    assert {slot.replica for slot in stable_of(world.rollout).slots} == {1}


async def test_preempted_canary_is_rolled_back_whole_and_at_once(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=4)
    held = world.held() - {FIRST}
    world.scheduler.preempt(stage_zero(2), [0])
    await world.run(5)
    assert world.said(RolloutAborted)[0].reason == f"preempted: {WANTED}"
    assert world.story(2)[-1] == "RolloutRolledBack", "without the delay: somebody waits for the room"
    assert set(world.scheduler.released) == held
    assert releases(world) == [()] * len(held), "never a part of it"
    assert world.route() == {1: 100}


async def test_canary_that_goes_back_makes_room_at_once_when_it_is_preempted(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    await world.command(CommandKind.ABORT)
    await world.run_until(TrafficShifted, count=3)
    world.cluster.crash(DEPLOYMENT, 1, seconds=500)
    world.scheduler.preempt(stage_zero(2), [0])
    await world.run(5)
    assert world.story(2)[-1] == "RolloutRolledBack"


async def test_former_stable_makes_room_before_its_delay_is_over(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(RolloutPromoted, count=2)
    world.scheduler.preempt(FIRST, [0])
    await world.run(2.5, step=0.5)
    assert world.scheduler.released == {FIRST: 1}
    assert releases(world) == [()]


async def test_stable_that_is_drained_during_a_rollout_asks_again_only_when_it_is_over(world: World) -> None:
    await world.promoted(1)
    await world.request(2)
    await world.run_until(TrafficShifted, count=2)
    world.metrics.of[2] = SILENT
    world.scheduler.preempt(FIRST, [0, 1])
    await world.run(10)
    assert releases(world) == [(0, 1)]
    assert not [asked for asked in world.said(ReserveCapacity) if asked.revision == 1]
    await world.command(CommandKind.ABORT)
    await world.run(30)
    assert [asked.replicas for asked in world.said(ReserveCapacity) if asked.revision == 1] == [2]
    assert ready(world, 1) == 4


async def test_what_was_refused_is_asked_for_again_later_and_by_another_name(world: World) -> None:
    await world.promoted(1)
    world.scheduler.answers_at_once = False
    world.scheduler.preempt(FIRST, [0])
    await world.run(5)
    world.scheduler.reject(later_reservation_id(DEPLOYMENT, 1, 1), QueueReason.QUOTA_EXCEEDED, "4 of 3 GPUs")
    await world.run(590, step=10)
    assert len(world.said(ReserveCapacity)) == 1
    await world.run(30, step=10)
    assert [asked.reservation_id for asked in world.said(ReserveCapacity)] == [
        later_reservation_id(DEPLOYMENT, 1, ask) for ask in (1, 2)
    ]
    assert releases(world) == [(0,)], "a refused reservation holds nothing"


async def test_lost_replicas_that_get_no_new_place_are_asked_for_anew(world: World) -> None:
    await world.promoted(1)
    world.scheduler.answers_at_once = False
    world.scheduler.lose(FIRST, [2])
    world.scheduler.reject(FIRST, QueueReason.MODEL_UNAVAILABLE, "no P100 is left")
    await world.run(620, step=10)
    assert [asked.replicas for asked in world.said(ReserveCapacity)] == [1]
    assert {slot.replica for slot in stable_of(world.rollout).slots} == {0, 1, 3}
    again = later_reservation_id(DEPLOYMENT, 1, 1)
    world.scheduler.queue(again, QueueReason.NO_FREE_CAPACITY, "8 of 8 GPUs are taken")
    await world.command(CommandKind.CANCEL)
    await world.run(30)
    assert world.scheduler.released == {FIRST: 1, again: 1}, "what was held of the first, and a place in the queue"


async def test_who_is_not_named_among_all_places_has_been_refused_before(world: World) -> None:
    """Refused, and another lost, before the deployer looked: the last word was about the other."""
    await world.promoted(1)
    world.scheduler.lose(FIRST, [0])
    world.scheduler.reject(FIRST, QueueReason.MODEL_UNAVAILABLE, "no P100 is left")
    world.scheduler.lose(FIRST, [1])
    await world.run(5)
    assert stable_of(world.rollout).missing_replicas == 2
    world.scheduler.reserve(FIRST)
    await world.run(620, step=10)
    assert [asked.replicas for asked in world.said(ReserveCapacity)] == [1]
    assert ready(world, 1) == 4


async def test_suspended_tenant_asks_for_nothing_again(world: World) -> None:
    await world.promoted(1)
    await world.store.suspend(None, TenantSuspended(tenant_id=TENANT, reason="unpaid"))
    world.scheduler.preempt(FIRST, [0])
    await world.run(30)
    assert releases(world) == [(0,)]
    assert not world.said(ReserveCapacity)
    await world.store.resume(None, TENANT)
    await world.run(10)
    assert ready(world, 1) == 4


async def test_deleted_deployment_gives_back_what_is_left(world: World) -> None:
    await world.promoted(1)
    world.scheduler.preempt(FIRST, [0])
    world.scheduler.lose(FIRST, [1])
    await world.command(CommandKind.CANCEL)
    await world.run(20)
    assert releases(world) == [()]
    assert world.held() == set()


@pytest.mark.parametrize("lost", range(0, 30, 2))
async def test_restart_in_a_drain_gives_the_same_end(world: World, lost: int) -> None:
    """Between storing and telling the cluster the process dies; its successor remembers nothing."""
    await world.promoted(1)
    world.scheduler.preempt(FIRST, [0, 1])
    for number in range(80):
        world.cluster.refuses_writes = lost <= number < lost + 3
        await world.tick()
        world.clock.advance(0.25)
    assert releases(world) == [(0, 1)]
    assert [asked.replicas for asked in world.said(ReserveCapacity)] == [2]
    assert ready(world, 1) == 4
