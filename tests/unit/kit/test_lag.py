"""The arithmetic of lag; the measurement itself is tested on a real Kafka."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from schemas.topics import DEPLOYMENT_EVENTS, DEPLOYMENT_REQUESTS, INGEST_ADMISSION, SCHEDULER_QUEUE, TOPICS
from services.kit.messaging.lag import Lag, LagProbe, Snapshot, groups_of, next_offset, publish
from services.kit.observability.health import Heartbeat

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_group_that_committed_goes_on_there() -> None:
    assert next_offset(7, low=3) == 7


def test_a_group_that_never_committed_begins_at_the_beginning() -> None:
    assert next_offset(None, low=3) == 3


def test_a_group_that_retention_left_behind_begins_at_what_is_left() -> None:
    assert next_offset(1, low=3) == 3


@given(st.none() | st.integers(0, 1000), st.integers(0, 1000))
def test_nobody_reads_what_is_deleted(committed: int | None, low: int) -> None:
    assert next_offset(committed, low) >= low


def test_every_reader_of_the_contract_is_probed() -> None:
    groups = groups_of()
    assert {(topic.name, group) for group, topics in groups.items() for topic in topics} == {
        (topic.name, group) for topic in TOPICS for group in topic.groups
    }
    assert groups[INGEST_ADMISSION] == [DEPLOYMENT_REQUESTS]
    assert DEPLOYMENT_EVENTS in groups[SCHEDULER_QUEUE]


def test_metrics_are_what_was_measured() -> None:
    lag = Lag("topic.test", 2, "group.test", committed=5, end=9, offsets_behind=4, oldest_seconds=1.5)
    publish(Snapshot(NOON, (lag,), {"topic.test.dlq.group.test": 3}))
    place = {"topic": "topic.test", "partition": "2", "group": "group.test"}
    assert REGISTRY.get_sample_value("taxiway_lag_offsets", place) == 4
    assert REGISTRY.get_sample_value("taxiway_lag_oldest_uncommitted_seconds", place) == 1.5
    measured = REGISTRY.get_sample_value("taxiway_lag_measured_timestamp_seconds", {"group": "group.test"})
    assert measured == NOON.timestamp()
    assert REGISTRY.get_sample_value("taxiway_dead_letter_depth", {"topic": "topic.test.dlq.group.test"}) == 3


class CountedHeartbeat(Heartbeat):
    """Tells when the loop has gone round often enough."""

    def __init__(self, enough: int) -> None:
        super().__init__("lag probe under test")
        self._left = enough
        self.has_gone_round = asyncio.Event()

    def beat(self) -> None:
        super().beat()
        self._left -= 1
        if self._left == 0:
            self.has_gone_round.set()


async def test_while_kafka_is_away_the_probe_lives_on_and_says_nothing_false() -> None:
    heart = CountedHeartbeat(3)
    probe = LagProbe("127.0.0.1:1", interval=0.01, heartbeat=heart, request_seconds=0.05)
    stopping = asyncio.Event()
    running = asyncio.create_task(probe.run(stopping))
    async with asyncio.timeout(10):
        await heart.has_gone_round.wait()
    assert not running.done(), "it asks again after each failure"
    assert probe.snapshot() is None
    assert heart.stopped is None
    stopping.set()
    async with asyncio.timeout(10):
        await running
    assert probe.snapshot() is None
