"""The owner of a pool: batches, numbers, failures, take-over; on stores in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from loguru import logger
from prometheus_client import REGISTRY

from schemas.placement import CapacityQueued, CapacityRejected, CapacityReleased, CapacityReserved, PlacementEvent
from services.kit.clock import HeldClock
from services.kit.errors import LeaseLostError, TransientError
from services.kit.messaging.dead_letters import TripWireError
from services.kit.messaging.origin import Origin
from services.kit.observability.logging import fields_of
from services.scheduler.domain.nodes.cluster import Cluster, Ints
from services.scheduler.domain.nodes.shape import Shape, shape_of
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.policies.best_fit import BestFit
from services.scheduler.entrypoints import steps
from services.scheduler.entrypoints.owner import PoolOwner, lease_name
from tests.fakes.scheduler.builders import (
    NOW,
    TEAM,
    ask_what_if,
    entry,
    from_a_newer_release,
    gpus,
    identity,
    node,
    release,
    requested,
    reserve,
    tenant,
)
from tests.fakes.scheduler.office import Office
from tests.fakes.scheduler.stores import InMemoryDatabase, InMemoryInputLog

SULKS = gpus(1, 333)
"""A demand that `Sulking` fails at."""


class Sulking(BestFit):
    """A policy with a bug."""

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        if shape == shape_of(SULKS) and rows.size:
            raise ZeroDivisionError("sulking")
        return super().scores(cluster, rows, shape)


class SlowClock(HeldClock):
    """Every look at it takes 0.4 s."""

    def now(self) -> datetime:
        self.advance(0.4)
        return super().now()


class Watching(BestFit):
    """A policy that notes, whenever it is asked, how many transactions are open and whether the loop runs meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.database = InMemoryDatabase()
        self.seen: list[tuple[int, bool]] = []

    def is_on_loop(self) -> bool:
        """Whether the loop waits for this call."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        ran = not self.is_on_loop() and asyncio.run_coroutine_threadsafe(asyncio.sleep(0, True), self.loop).result(5)
        self.seen.append((self.database.open, ran))
        return super().scores(cluster, rows, shape)


class Counting(BestFit):
    """A policy that notes, whenever it is asked, how often others had their turn."""

    def __init__(self) -> None:
        self.turns = 0
        self.seen: list[int] = []

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        self.seen.append(self.turns)
        return super().scores(cluster, rows, shape)


LIFE = (
    node("n1", 2),
    tenant(limit=5000),
    requested("a", gpus(2)),
    reserve("b", gpus(1, 500)),
    reserve("c", gpus(1, 400)),
    reserve("d", gpus(8)),
    release("a"),
    release("c"),
)


async def test_each_decision_is_said_once_with_its_number() -> None:
    office = await Office().given(*LIFE)
    await office.drain()
    kinds = [type(data) for data in office.placements()]
    assert kinds == [
        CapacityReserved,
        CapacityQueued,
        CapacityQueued,
        CapacityRejected,
        CapacityReleased,
        CapacityReserved,
        CapacityReserved,
        CapacityReleased,
    ]
    assert [data.decision.number for data in office.placements()] == list(range(1, 9))
    first = office.placements()[0]
    assert (first.revision, first.stage, first.gpu_milli) == (3, 0, 2000)
    policy = policy_named("default")
    assert first.explanation.startswith(f"placed on n1 devices 0,1: {policy.idea}")
    assert (first.decision.policy, first.decision.policy_version) == (policy.name, policy.version)
    assert first.decision.decided_at == NOW


async def test_what_was_asked_for_is_the_cause_of_what_is_said() -> None:
    office = await Office().given(*LIFE)
    await office.drain()
    asked = entry(reserve("b", gpus(1, 500)))
    later = office.events(PlacementEvent)[5]
    assert later.data.reservation_id == identity("b")
    assert later.data.decision.input_id == asked.cause.input_id == later.causationid
    assert later.data.decision.input_position == asked.cause.input_position
    assert (later.tenantid, later.actor) == (str(TEAM), "service:scheduler")


async def test_what_became_of_a_request_is_logged_in_the_trace_of_what_asked_for_it() -> None:
    office, lines = await Office().given(*LIFE[:2]), []
    asked = entry(reserve("a"))
    origin = replace(Origin.from_json(asked.cause.origin), traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01")
    async with office.database.unit_of_work() as work:
        traced = replace(asked, cause=replace(asked.cause, origin=origin.to_json()))
        await InMemoryInputLog(office.database).append(work, "default", traced)
    await office.told(release("a"))
    sink = logger.add(lambda message: lines.append(fields_of(message.record, "scheduler", "0")))
    await office.drain()
    logger.remove(sink)
    [line] = [line for line in lines if line["message"].startswith("pool default decision")]
    assert line["message"].startswith("pool default decision 1: placed")
    assert line["trace_id"] == "ab" * 16
    assert line["deployment"] == str(identity("deployment of a"))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
async def test_the_cut_into_batches_plays_no_part(batch_size: int) -> None:
    whole, cut = await Office().given(*LIFE), await Office(batch_size).given(*LIFE)
    await whole.drain()
    await cut.drain()
    assert cut.words() == whole.words()
    assert cut.database.tables.decisions == whole.database.tables.decisions


async def test_a_restart_after_every_input_plays_no_part() -> None:
    whole, restarted = await Office().given(*LIFE), await Office(1).given(*LIFE)
    await whole.drain()
    for _ in LIFE:
        await restarted.given()
        await restarted.owner.tick(restarted.lease)
    assert restarted.words() == whole.words()


async def test_a_failed_transaction_leaves_nothing_and_is_decided_again() -> None:
    office = await Office().given(*LIFE)
    office.store.fails = True
    with pytest.raises(TransientError):
        await office.owner.tick(office.lease)
    assert (office.placements(), office.database.tables.decisions) == ([], [])
    await office.drain()
    assert [data.decision.number for data in office.placements()] == list(range(1, 9))


async def test_a_batch_that_could_be_neither_stored_nor_read_ahead_of_is_decided_again() -> None:
    office = await Office(2).given(*LIFE)
    office.store.fails = office.store.cannot_read_ahead = True
    with pytest.raises(TransientError):
        await office.owner.tick(office.lease)
    office.store.cannot_read_ahead = False
    await office.drain()
    assert [data.decision.number for data in office.placements()] == list(range(1, 9))


async def test_an_old_owner_writes_nothing() -> None:
    office = await Office().given(*LIFE)
    old = office.lease
    await office.database.lease(old.name)
    with pytest.raises(LeaseLostError):
        await office.owner.tick(old)
    with pytest.raises(LeaseLostError):
        await office.owner.take_over(old)
    assert office.placements() == []


async def test_a_new_epoch_forgets_what_the_old_one_knew() -> None:
    office = await Office().given(node("n1", 1), tenant())
    await office.drain()
    other = PoolOwner("default", policy_named("default"), office.database, office.store, office.clock, asyncio.Event())
    await office.told(reserve("a"))
    await other.tick(await office.database.lease(lease_name("default")))
    await office.given(reserve("b"))
    await office.drain()
    assert [type(data) for data in office.placements()] == [CapacityReserved, CapacityQueued]


async def test_deciding_holds_no_transaction_open_and_keeps_nothing_else_from_running() -> None:
    """A question, or a release that many wait for, may take seconds: meanwhile the lease must be renewed, and no lock
    held. As long as nobody waits or asks, a step is short, and a thread would cost more than it helps."""
    watching = Watching(asyncio.get_running_loop())
    office = Office(policy=watching)
    watching.database = office.database
    await office.given(node("n1", 2), tenant(), reserve("a", gpus(2)))
    await office.owner.tick(office.lease)
    assert set(watching.seen) == {(0, False)}
    watching.seen.clear()
    await office.when(ask_what_if(gpus(1, 500)), release("a"), reserve("a again", gpus(2)))
    assert set(watching.seen) == {(0, True)}
    await office.when(reserve("b"))
    watching.seen.clear()
    await office.when(release("a again"))
    assert [type(data) for data in office.placements()][-1] is CapacityReserved
    assert set(watching.seen) == {(0, True)}


async def test_others_run_between_slices_of_steps_that_are_taken_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "SLICE_SECONDS", 0.0)
    counting = Counting()
    requests = [reserve(str(number), gpus(1, 100 + number)) for number in range(5)]
    office = await Office(policy=counting).given(node("n1", 8), tenant(), *requests)
    ticking = asyncio.create_task(office.owner.tick(office.lease))
    while not ticking.done():
        counting.turns += 1
        await asyncio.sleep(0)
    assert len(office.placements()) == 5
    assert len(set(counting.seen)) == 5


async def test_a_full_batch_wakes_the_loop_for_the_rest() -> None:
    office = await Office(2).given(*LIFE[:3])
    await office.owner.tick(office.lease)
    assert office.wake.is_set()
    office.wake.clear()
    await office.owner.tick(office.lease)
    assert not office.wake.is_set()


async def test_a_batch_that_takes_long_ends_early() -> None:
    office = await Office(clock=SlowClock(NOW)).given(*LIFE)
    await office.owner.tick(office.lease)
    assert office.database.tables.reached["default"].applied == 2
    assert office.wake.is_set()
    await office.drain()
    assert office.database.tables.reached["default"][:2] == (8, 8)


async def test_whoever_is_no_longer_the_owner_shows_no_queue() -> None:
    """Over all copies the sum must be the queue's length: the next owner shows it too."""
    office = await Office().given(node("n1", 1), tenant(), reserve("a"), reserve("b"))
    await office.drain()
    shown = partial(REGISTRY.get_sample_value, "taxiway_scheduler_queue_length", {"pool": "default"})
    assert shown() == 1
    office.owner.let_go()
    assert shown() is None


async def test_the_time_of_a_decision_is_the_clocks() -> None:
    office = await Office().given(*LIFE[:3])
    office.clock.advance(90)
    await office.drain()
    assert office.placements()[0].decision.decided_at == NOW + timedelta(seconds=90)


def set_aside(error_type: str) -> float:
    place = {"pool": "default", "error_type": error_type}
    return REGISTRY.get_sample_value("taxiway_scheduler_inputs_set_aside_total", place) or 0.0


@pytest.mark.parametrize("batch_size", [1, 2, 200])
async def test_what_cannot_be_read_is_set_aside_and_the_next_ones_go_on(batch_size: int) -> None:
    """A newer release recorded it, and was rolled back."""
    before = set_aside("unknown-type")
    office = await Office(batch_size).given(*LIFE[:3], from_a_newer_release(), *LIFE[3:])
    whole = await Office().given(*LIFE)
    await office.drain()
    await whole.drain()
    assert office.words() == whole.words()
    bad = office.database.tables.inputs[3]
    assert (bad.applied, bad.rejected is not None) == (None, True)
    assert "taxiway.placement.migrate.v1" in str(bad.rejected)
    assert set_aside("unknown-type") == before + 1


@pytest.mark.parametrize("batch_size", [1, 2, 200])
async def test_an_input_that_cannot_be_applied_costs_itself_only(batch_size: int) -> None:
    before = set_aside("ZeroDivisionError")
    office = await Office(batch_size, policy=Sulking()).given(*LIFE[:2], reserve("bad", SULKS), *LIFE[2:])
    whole = await Office(policy=BestFit()).given(*LIFE)
    await office.drain()
    await whole.drain()
    assert office.words() == whole.words()
    bad = office.database.tables.inputs[2]
    assert (bad.applied, bad.rejected) == (None, "ZeroDivisionError: sulking")
    assert set_aside("ZeroDivisionError") == before + 1


async def test_a_waiting_request_that_cannot_be_tried_costs_no_release() -> None:
    """It was queued while nothing was free, and fails when it is tried on what a release gave back."""
    place, name = {"pool": "default", "error_type": "ZeroDivisionError"}, "taxiway_scheduler_failed_retries_total"
    before = set_aside("ZeroDivisionError"), REGISTRY.get_sample_value(name, place) or 0
    office = await Office(policy=Sulking()).given(*LIFE[:3], reserve("bad", SULKS), *LIFE[3:])
    whole = await Office(policy=BestFit()).given(*LIFE)
    await office.drain()
    await whole.drain()
    asked = identity("bad")
    others = [(type(data), data.reservation_id) for data in office.placements() if data.reservation_id != asked]
    assert others == [(type(data), data.reservation_id) for data in whole.placements()]
    assert [type(data) for data in office.placements() if data.reservation_id == asked] == [CapacityQueued]
    assert set_aside("ZeroDivisionError") == before[0]
    assert (REGISTRY.get_sample_value(name, place) or 0) > before[1]


async def test_what_was_set_aside_is_applied_when_a_person_says_so() -> None:
    office = await Office(policy=Sulking()).given(*LIFE[:2], reserve("bad", SULKS))
    await office.drain()
    assert office.placements() == []
    office.owner = office.hire(policy_named("default"))
    office.database.tables.inputs[2].rejected = None
    await office.given()
    await office.drain()
    assert [type(data) for data in office.placements()] == [CapacityReserved]


async def test_an_owner_that_can_apply_nothing_stops_before_it_has_set_all_aside() -> None:
    """Probably this release is bad, and not the inputs: they must be there when it was rolled back."""
    bad = (reserve(f"bad {number}", SULKS) for number in range(80))
    office = await Office(policy=Sulking()).given(*LIFE[:2], *bad)
    with pytest.raises(TripWireError):
        await office.drain()
    with pytest.raises(TripWireError):
        await office.drain()
    left = [row for row in office.database.tables.inputs if row.applied is None and row.rejected is None]
    assert 0 < len(left) <= 40


async def test_a_duplicate_request_says_nothing_and_a_duplicate_release_says_zero() -> None:
    office = await Office(1).given(*LIFE[:2], *(reserve("a"),) * 2, *(release("a"),) * 2, reserve("a"))
    await office.drain()
    assert [type(data) for data in office.placements()] == [CapacityReserved, CapacityReleased, CapacityReleased]
    assert [data.gpu_milli for data in office.placements()] == [1000, 1000, 0]


async def test_what_a_batch_closes_is_closed_for_the_next_one_that_was_read_meanwhile() -> None:
    office = await Office(1).given(*LIFE[:2], reserve("a"), release("a"), reserve("a"))
    await office.drain()
    assert [type(data) for data in office.placements()] == [CapacityReserved, CapacityReleased]
