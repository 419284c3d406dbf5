"""How the time of one request divides among the stages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bench.pipeline.listening import Heard
from bench.pipeline.trips import STAGES, Trip, median_stages, stages_of
from schemas.base import EventData
from schemas.deployment import DeploymentRequested, DeploymentSpec
from schemas.envelope import Event, Position
from schemas.placement import CapacityReserved, DecisionRecord
from schemas.resources import Allocation, Resources

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=1)


def after(milliseconds: float) -> datetime:
    """That long after the request was sent."""
    return START + timedelta(milliseconds=milliseconds)


def heard(data: EventData, said: float, appended: float, read: float) -> Heard:
    """An event that was said, appended and read so many ms after the request was sent."""
    position = Position(data.topic, 0, 0, after(appended))
    event = Event(id="e", source="/test", time=after(said), data=data, position=position)
    return Heard(event, at=1000 + read / 1000, at_wall=after(read).timestamp())


def requested(said: float, appended: float) -> Heard:
    """DeploymentRequested."""
    resources = Resources(gpu_count=1, gpu_milli=500, cpu_milli=1000, memory_mib=1024)
    spec = DeploymentSpec(name="a", model="m", version="1", replicas=1, resources=resources)
    data = DeploymentRequested(deployment_id=ID, revision=1, reservation_id=ID, spec=spec, first_stage_replicas=1)
    return heard(data, said, appended, 0)


def reserved(decided: float, appended: float, read: float) -> Heard:
    """CapacityReserved."""
    record = DecisionRecord(
        pool="default",
        number=1,
        policy="p",
        policy_version="1",
        decided_at=after(decided),
        input_id="e",
        input_position="t/0/0",
    )
    placed = Allocation(replica=0, node="node-0", devices=(0,), gpu_milli=500)
    data = CapacityReserved(
        deployment_id=ID, reservation_id=ID, revision=1, stage=0, allocations=(placed,), gpu_milli=500, decision=record
    )
    return heard(data, decided, appended, read)


def trip(*, decided: float = 20, read: float = 31.5) -> Trip:
    """Sent at 0, said at 5, in Kafka at 8, decided, in Kafka at 30, read. Recorded at 12 by the tests."""
    return Trip(str(ID), 1000.0, START.timestamp(), 1000.006, requested(5, 8), reserved(decided, 30, read))


def test_each_stage_ends_where_the_next_begins() -> None:
    stages = stages_of(trip(), after(12))
    assert tuple(stages) == STAGES
    assert list(stages.values()) == pytest.approx([5, 3.5, 3.5, 8, 10.5, 1.0], abs=1e-3)


def test_the_stages_add_up_to_the_whole_way() -> None:
    one = trip()
    assert sum(stages_of(one, after(12)).values()) == pytest.approx(one.milliseconds, abs=1e-3)


def test_the_answer_comes_before_the_event() -> None:
    assert trip().answer_milliseconds == pytest.approx(6)
    assert trip().milliseconds == pytest.approx(31.5)


def test_the_median_is_taken_stage_by_stage() -> None:
    trips = [trip(decided=14), trip(decided=20), trip(decided=29)]
    assert median_stages(trips, {"e": after(12)})[STAGES[3]] == pytest.approx(8, abs=1e-3)


def test_an_event_that_was_not_read_from_kafka_has_no_time_there() -> None:
    one = trip()
    nowhere = Heard(Event("e", "/test", START, one.requested.event.data), 0, 0)
    with pytest.raises(ValueError, match="not read from Kafka"):
        stages_of(Trip(str(ID), 0, 0, 0, nowhere, one.reserved), after(12))
