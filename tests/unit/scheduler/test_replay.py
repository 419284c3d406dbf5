"""A pool's log read back: the recorded policy gives the recorded decisions, another one is compared with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from schemas.base import EventData
from schemas.capacity import InputsApplied
from schemas.envelope import Event
from schemas.placement import CapacityReserved, PlacementEvent
from services.kit.clock import HeldClock
from services.kit.messaging.record import Record
from services.kit.messaging.replay import Replayed
from services.scheduler.domain.audit.comparison import differences, summary
from services.scheduler.domain.model import Cause, Input
from services.scheduler.domain.policies import policy_named
from services.scheduler.entrypoints.owner import PoolOwner
from services.scheduler.entrypoints.replay import Recording, ReplayError, check, collect, series_by, series_of
from tests.fakes.scheduler.builders import (
    NOW,
    OTHER_TEAM,
    ask_what_if,
    entry,
    gpus,
    identity,
    node,
    node_removed,
    release,
    requested,
    reserve,
    tenant,
)
from tests.fakes.scheduler.stores import InMemoryDatabase, InMemoryInputLog, InMemoryPoolStore

LIFE = (
    node("n1", 4),
    node("n2", 4),
    tenant(),
    tenant(OTHER_TEAM),
    requested("a", gpus(1, 500), first=3),
    reserve("b", gpus(1, 300)),
    reserve("c", gpus(4)),
    reserve("late", gpus(4, 1000, "A100"), start_within_seconds=60),
    ask_what_if(gpus(8)),
    reserve("low", gpus(1), preemptible=True, priority=10),
    node_removed("n2"),
    release("b"),
    node("n3", 8, "T4"),
    reserve("d", gpus(2), replicas=2, expected_seconds=600),
    release("a"),
)


class Office:
    """A pool's owner over stores in memory, and the log that would come of it."""

    def __init__(self, policy: str = "best_fit") -> None:
        self.database = InMemoryDatabase()
        self.clock = HeldClock(NOW)
        self._log: list[Replayed] = []
        self._store = InMemoryPoolStore(self.database)
        self._wake = asyncio.Event()
        self.work_as(policy)

    def work_as(self, policy: str) -> None:
        """Another process with this policy takes the pool over."""
        self._owner = PoolOwner("default", policy_named(policy), self.database, self._store, self.clock, self._wake)

    async def when(self, *messages: EventData) -> None:
        """The messages come, each a second after the one before it, and are applied one by one."""
        lease = await self.database.lease("pool:default")
        await self._owner.take_over(lease)
        for data in messages:
            self.clock.advance(1)
            if not isinstance(data, InputsApplied):
                await self._record(data)
            await self._owner.tick(lease)

    async def wait(self, seconds: float) -> None:
        """Time passes, and the owner looks."""
        self.clock.advance(seconds)
        lease = await self.database.lease("pool:default")
        await self._owner.take_over(lease)
        await self._owner.tick(lease)

    async def _record(self, data: EventData) -> None:
        given = entry(data)
        position = f"{data.topic}/0/{len(self._log)}"
        recorded = replace(given, cause=Cause(f"event-{len(self._log)}", position, given.cause.origin))
        async with self.database.unit_of_work() as work:
            await InMemoryInputLog(self.database).append(work, "default", recorded)
        self._log.append(_replayed(recorded, len(self._log)))

    def log(self) -> Iterator[Replayed]:
        """What Kafka holds, in the order in which a replay reads it."""
        said = self.database.tables.events
        yield from (_said(each) for each in said if isinstance(each.data, InputsApplied))
        yield from self._log
        yield from (_said(each) for each in said if isinstance(each.data, PlacementEvent))


def _replayed(entry: Input, offset: int) -> Replayed:
    data: Any = entry.data
    event = Event(entry.cause.input_id, "/test", NOW, data, str(entry.tenant_id), "user:ann")
    return Replayed(Record(data.topic, 0, offset, None, None, [], 0), event, None)


def _said(event: Event[Any]) -> Replayed:
    return Replayed(Record(event.data.topic, 0, 0, None, None, [], 0), event, None)


async def recorded(policy: str = "best_fit") -> Recording:
    office = Office(policy)
    await office.when(*LIFE)
    await office.wait(120)
    return collect("default", office.log())


async def test_the_recorded_policy_gives_the_recorded_decisions() -> None:
    recording = await recorded()
    found = check(recording)
    assert found.holds
    assert found.compared == len(recording.decisions) > len(LIFE) - 6
    assert len(recording.inputs) == len(LIFE) + 1, "and the passing of the deadline"


async def test_a_decision_that_was_tampered_with_is_found() -> None:
    recording = await recorded()
    number = next(n for n, event in recording.decisions.items() if isinstance(event, CapacityReserved))
    recording.decisions[number] = recording.decisions[number].model_copy(update={"explanation": "because"})
    found = check(recording)
    assert [event.decision.number for event, _ in found.different if event] == [number]
    assert not found.holds


async def test_a_decision_that_was_taken_out_is_found() -> None:
    recording = await recorded()
    taken = recording.decisions.pop(2)
    [(before, ours)] = check(recording).different
    assert before is None
    assert ours == taken


async def test_a_policy_of_another_release_is_said_and_not_compared() -> None:
    recording = await recorded()
    recording.inputs = [replace(each, policy_version="0") if each.number > 5 else each for each in recording.inputs]
    found = check(recording)
    assert found.unknown == {"best_fit 0": len(recording.inputs) - 5}
    assert not found.different
    assert not found.holds


async def test_a_change_of_policy_on_the_way_is_followed() -> None:
    office = Office("best_fit")
    await office.when(*LIFE[:8])
    office.work_as("least_loaded")
    await office.when(*LIFE[8:])
    recording = collect("default", office.log())
    assert {each.policy for each in recording.inputs} == {"best_fit", "least_loaded"}
    assert check(recording).holds


async def test_another_policy_is_compared_request_by_request() -> None:
    recording = await recorded()
    mine, other = series_of(recording), series_by(recording, policy_named("least_loaded"))
    assert {each.reservation_id for each in differences(mine, other)} >= {identity("b")}
    assert list(differences(mine, series_by(recording, policy_named("best_fit")))) == []
    assert summary(mine) == summary(series_by(recording, policy_named("best_fit")))
    assert summary(mine).requests == summary(other).requests == 6


async def test_a_part_can_be_replayed() -> None:
    recording = (await recorded()).until(6)
    assert [each.number for each in recording.inputs] == [1, 2, 3, 4, 5, 6]
    assert len(recording.decisions) == 2
    assert check(recording).holds


async def test_a_gap_in_the_order_is_said() -> None:
    office = Office()
    await office.when(*LIFE)
    log = [each for each in office.log() if not _lists(each, 3)]
    with pytest.raises(ReplayError, match="goes on at input 4 where 3 should follow"):
        collect("default", iter(log))


async def test_an_input_that_is_gone_is_said() -> None:
    office = Office()
    await office.when(*LIFE)
    log = [each for each in office.log() if each.event and each.event.id != "event-4"]
    with pytest.raises(ReplayError, match=r"input event-4 is not at .*/0/4 any more"):
        collect("default", iter(log))


async def test_repeated_records_count_once() -> None:
    office = Office()
    await office.when(*LIFE)
    log = [twice for each in office.log() for twice in (each, each)]
    assert check(collect("default", iter(log))).holds


def _lists(item: Replayed, number: int) -> bool:
    data = item.event.data if item.event else None
    return isinstance(data, InputsApplied) and any(each.number == number for each in data.inputs)
