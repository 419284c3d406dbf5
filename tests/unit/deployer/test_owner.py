"""The owners' loops: what wakes, what freezes, and that one bad rollout does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from schemas.node import NodeObserved, NodeRemoved
from services.deployer.domain.capacity import first_revision
from services.deployer.domain.model import Phase
from services.deployer.domain.node import Node
from services.deployer.domain.observation import Request
from services.deployer.entrypoints.bell import Bell
from services.deployer.entrypoints.nodes import NodeOwner
from services.deployer.entrypoints.rollouts import RolloutOwner
from services.kit.errors import LeaseLostError
from services.kit.messaging.origin import Origin
from services.kit.persistence.leases import Lease
from services.kit.resilience import Backoff
from tests.fakes.deployer.stores import InMemoryNodeStore, InMemoryRolloutStore
from tests.unit.deployer.world import DEPLOYMENT, LEASE, LIMITS, TENANT, World, failed_passes, spec_of, stage_zero

NODES_LEASE = Lease("nodes", "test", 1)


def owner_of(world: World, wake: asyncio.Event, resync_seconds: float = 1e9) -> RolloutOwner:
    return RolloutOwner(
        0,
        world.store,
        world.cluster,
        world.metrics,
        world.clock,
        LIMITS,
        wake=wake,
        resync_seconds=resync_seconds,
        backoff=Backoff(base=1, cap=60, uniform=lambda _, longest: longest),
    )


def frozen(shard: str) -> float:
    return REGISTRY.get_sample_value("taxiway_deployer_frozen_total", {"shard": shard}) or 0.0


async def test_a_step_asks_for_the_next_pass_at_once() -> None:
    world, wake = World(), asyncio.Event()
    owner = owner_of(world, wake)
    await world.request(1)
    await owner.tick(LEASE)
    assert wake.is_set()
    for _ in range(5):
        await owner.tick(LEASE)
    wake.clear()
    await owner.tick(LEASE)
    assert not wake.is_set(), "while pods load there is nothing to do but wait"


async def test_settled_rollouts_are_compared_now_and_then() -> None:
    world = World()
    await world.promoted(1)
    owner = owner_of(world, asyncio.Event(), resync_seconds=60)
    await owner.tick(LEASE)
    world.cluster.forget()
    await owner.tick(LEASE)
    assert not world.cluster.live_slots()
    world.clock.advance(60)
    await owner.tick(LEASE)
    assert len(world.cluster.live_slots()) == 4


async def test_settled_rollout_that_lacks_something_is_looked_at_each_pass_until_it_is_mended() -> None:
    """Pods that load and routes that are applied wake nobody."""
    world = World()
    await world.promoted(1)
    owner = owner_of(world, asyncio.Event())
    await owner.tick(LEASE)
    world.scheduler.lose(stage_zero(1), range(4))
    for _ in range(10):
        await owner.tick(LEASE)
        world.clock.advance(1)
    assert world.route() == {}
    world.scheduler.reserve(stage_zero(1))
    for _ in range(10):
        await owner.tick(LEASE)
        world.clock.advance(1)
    assert world.route() == {1: 100}
    assert not world.rollout.is_active


async def test_freezing_is_counted() -> None:
    world = World()
    await world.request(1)
    world.cluster.is_away = True
    before = frozen("0")
    await world.tick()
    assert frozen("0") == before + 1


async def test_a_rollout_that_cannot_go_on_does_not_stop_the_others() -> None:
    world, other = World(), uuid4()
    world.may_fail = True
    request = Request(1, spec_of("v1"), uuid4(), 4)
    await world.store.request(None, other, request, Origin(TENANT, "key:ab", "c", "c"))
    broken = {"canary": first_revision(request), "latest": 1, "phase": Phase.SURGING, "stage": 9}
    world.store.rows[other].state = world.store.rollout(other).model_copy(update=broken).model_dump_json()
    await world.request(1)
    before = failed_passes()
    await world.run(100)
    assert world.rollout.stable is not None
    assert world.store.rollout(other).stage == 9
    assert failed_passes() > before, "it stands still, and loudly"


@pytest.mark.parametrize("spoil", [InMemoryRolloutStore.spoil_state, InMemoryRolloutStore.spoil_command])
async def test_a_rollout_that_cannot_be_read_does_not_stop_the_others(
    spoil: Callable[[InMemoryRolloutStore, UUID], None],
) -> None:
    world, other = World(), uuid4()
    world.may_fail = True
    await world.store.request(None, other, Request(1, spec_of("v1"), uuid4(), 4), Origin(TENANT, "key:ab", "c", "c"))
    spoil(world.store, other)
    await world.request(1)
    before = failed_passes()
    await world.run(100)
    assert world.rollout.stable is not None
    assert failed_passes() > before, "it stands still, and loudly"


async def test_a_rollout_that_failed_is_looked_at_again_after_a_while_and_longer_each_time() -> None:
    world = World()
    await world.promoted(1)
    owner = owner_of(world, asyncio.Event(), resync_seconds=1)
    state = world.store.rows[DEPLOYMENT].state
    world.store.spoil_state(DEPLOYMENT)
    tries = []
    for _ in range(240):
        before = failed_passes()
        await owner.tick(LEASE)
        tries.append(failed_passes() - before)
        world.clock.advance(1)
    when = [second for second, count in enumerate(tries) if count]
    assert when == [0, 2, 6, 14, 30, 62, 122, 182]
    # and when it can be read again, it goes on, with the first pass that is due
    world.store.rows[DEPLOYMENT].state = state
    world.cluster.forget()
    for _ in range(60):
        await owner.tick(LEASE)
        world.clock.advance(1)
    assert len(world.cluster.live_slots()) == 4
    world.store.spoil_state(DEPLOYMENT)
    before = failed_passes()
    for _ in range(3):
        await owner.tick(LEASE)
        world.clock.advance(1)
    assert failed_passes() == before + 2, "what was well in between is tried again soon"


async def test_whoever_is_no_longer_the_owner_shows_no_rollouts() -> None:
    world = World()
    owner = owner_of(world, asyncio.Event())
    await world.request(1)
    for _ in range(2):
        await owner.tick(LEASE)
    shown = [{"shard": "0", "phase": phase.value} for phase in Phase]
    assert sum(REGISTRY.get_sample_value("taxiway_deployer_rollouts", place) or 0 for place in shown) == 1
    owner.let_go()
    owner.let_go()
    assert {REGISTRY.get_sample_value("taxiway_deployer_rollouts", place) for place in shown} == {None}


async def test_lost_lease_ends_the_tick() -> None:
    world = World()
    await world.request(1)
    world.store.epoch = 2
    with pytest.raises(LeaseLostError):
        await owner_of(world, asyncio.Event()).tick(LEASE)
    assert world.scheduler.claims.keys() == {stage_zero(1)}


def node(name: str, gpus: int = 2) -> Node:
    return Node(name, "default", 64000, 262144, gpus, "P100" if gpus else "")


async def test_nodes_are_told_once() -> None:
    world, store = World(), InMemoryNodeStore()
    owner = NodeOwner(store, world.cluster)
    world.cluster.listed_nodes = [node("a"), node("b")]
    await owner.tick(NODES_LEASE)
    await owner.tick(NODES_LEASE)
    assert [event.key for event in store.said] == ["a", "b"]
    world.cluster.listed_nodes = [node("a", gpus=8)]
    await owner.tick(NODES_LEASE)
    changed, gone = store.said[2:]
    assert isinstance(changed, NodeObserved)
    assert changed.gpu_count == 8
    assert isinstance(gone, NodeRemoved)
    assert gone.node == "b"


async def test_silent_cluster_has_not_lost_its_nodes() -> None:
    world, store = World(), InMemoryNodeStore()
    owner = NodeOwner(store, world.cluster)
    world.cluster.listed_nodes = [node("a")]
    await owner.tick(NODES_LEASE)
    world.cluster.is_away = True
    await owner.tick(NODES_LEASE)
    assert len(store.said) == 1


async def test_bell_wakes_every_owner_and_stops() -> None:
    owners = [asyncio.Event(), asyncio.Event()]
    bell, stopping = Bell(owners), asyncio.Event()
    running = asyncio.create_task(bell.run(stopping))
    for _ in range(2):
        bell.rung.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*(owner.wait() for owner in owners))
        for owner in owners:
            owner.clear()
    stopping.set()
    async with asyncio.timeout(5):
        await running
