"""Lag is exact to the record, measured from outside while no consumer runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from infra.local.stack import Addresses
from schemas.topics import Topic, dead_letter_name
from services.kit.clock import HeldClock
from services.kit.messaging.consumer import ConsumerLoop, consumer_settings
from services.kit.messaging.lag import Lag, LagProbe
from services.kit.messaging.log_reader import LogReader
from services.kit.messaging.record import Record
from services.kit.messaging.topics import provision
from tests.integration.kit.harness import read_all
from tests.integration.kit.log import append, append_transaction, commit, delete_before, fresh, numbered


class Scene:
    """One topic of one partition, a group that reads it, and a probe an hour later."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.group = f"group-{uuid4().hex[:8]}"
        self.topic = fresh(bootstrap, 1, groups=(self.group,))
        self.clock = HeldClock(datetime.now(UTC) + timedelta(hours=1))
        self.probe = LagProbe(bootstrap, {self.group: [self.topic]}, clock=self.clock, interval=0.05)

    def lag(self) -> Lag:
        """Measured now."""
        [lag] = self.probe.measure().lags
        return lag

    def records(self) -> list[Record]:
        """All that can be read."""
        return read_all(self.bootstrap, self.topic.name)

    def age_of(self, record: Record) -> float:
        """Seconds from its append to the scene's time."""
        return self.clock.now().timestamp() - record.timestamp_ms / 1000

    def append(self, count: int) -> None:
        """Append so many records, each in a batch of its own."""
        append(self.bootstrap, self.topic, numbered(count))

    def commit(self, offset: int) -> None:
        """What the group would read next."""
        commit(self.bootstrap, self.group, self.topic, 0, offset)

    async def close(self) -> None:
        """Leave the log."""
        stopping = asyncio.Event()
        stopping.set()
        await self.probe.run(stopping)


@pytest.fixture
def scene(addresses: Addresses) -> Iterator[Scene]:
    """An empty topic and a group that never was."""
    scene = Scene(addresses.kafka_bootstrap)
    yield scene
    asyncio.run(scene.close())


def test_an_empty_topic_leaves_nobody_behind(scene: Scene) -> None:
    lag = scene.lag()
    assert (lag.committed, lag.end, lag.offsets_behind, lag.oldest_seconds) == (None, 0, 0, 0)


def test_a_group_that_never_committed_is_behind_by_all(scene: Scene) -> None:
    scene.append(4)
    lag = scene.lag()
    assert (lag.committed, lag.end, lag.offsets_behind) == (None, 4, 4)
    assert lag.oldest_seconds == pytest.approx(scene.age_of(scene.records()[0]), abs=1e-3)


def test_the_age_is_that_of_the_next_record_and_no_other(scene: Scene) -> None:
    for _ in range(3):
        scene.append(2)
    records = scene.records()
    assert len({record.timestamp_ms for record in records}) > 1
    for offset in (0, 1, 3, 5):
        scene.commit(offset)
        lag = scene.lag()
        assert (lag.committed, lag.offsets_behind) == (offset, 6 - offset)
        assert lag.oldest_seconds == pytest.approx(scene.age_of(records[offset]), abs=1e-3)


def test_a_group_that_committed_all_is_not_behind(scene: Scene) -> None:
    scene.append(3)
    scene.commit(3)
    assert (scene.lag().offsets_behind, scene.lag().oldest_seconds) == (0, 0)
    scene.append(1)
    assert scene.lag().offsets_behind == 1
    assert scene.lag().oldest_seconds == pytest.approx(scene.age_of(scene.records()[3]), abs=1e-3)


async def test_what_was_handled_had_to_wait_so_long_and_kafka_knows_it(scene: Scene) -> None:
    """given a record and a consumer that is slow by half a second; when it has committed, and is gone; then the age at
    commit is told from outside, the same that the consumer observed itself."""
    await asyncio.to_thread(scene.append, 1)
    assert (await asyncio.to_thread(scene.lag)).age_at_commit_seconds is None
    handled, stopping = asyncio.Event(), asyncio.Event()

    async def take_its_time(_: Sequence[Record]) -> None:
        await asyncio.sleep(0.5)
        handled.set()

    loop = ConsumerLoop(consumer_settings(scene.bootstrap, scene.group, "0", 6), [scene.topic.name], take_its_time)
    running = asyncio.create_task(loop.run(stopping))
    async with asyncio.timeout(30):
        await handled.wait()
    stopping.set()
    await running
    lag = await asyncio.to_thread(scene.lag)
    assert (lag.committed, lag.offsets_behind) == (1, 0)
    place = {"topic": scene.topic.name, "partition": "0", "group": scene.group}
    observed = REGISTRY.get_sample_value("taxiway_lag_event_age_at_commit_seconds_sum", place)
    assert observed is not None
    assert lag.age_at_commit_seconds == pytest.approx(observed, abs=1e-3)
    assert lag.age_at_commit_seconds is not None
    assert lag.age_at_commit_seconds >= 0.5


def test_a_group_that_stands_still_grows_older(scene: Scene) -> None:
    scene.append(2)
    scene.commit(1)
    before = scene.lag()
    scene.clock.advance(30)
    after = scene.lag()
    assert after.oldest_seconds - before.oldest_seconds == pytest.approx(30, abs=1e-3)


def test_records_that_are_deleted_are_not_waited_for(scene: Scene) -> None:
    scene.append(5)
    scene.commit(1)
    scene.lag()
    oldest = scene.records()[3]
    delete_before(scene.bootstrap, scene.topic, 0, 3)
    lag = scene.lag()
    assert (lag.committed, lag.end, lag.offsets_behind) == (1, 5, 2)
    assert lag.oldest_seconds == pytest.approx(scene.age_of(oldest), abs=1e-3)


def test_a_marker_of_a_transaction_is_nobody_who_waits(scene: Scene) -> None:
    append_transaction(scene.bootstrap, scene.topic, [b"1"])
    scene.commit(1)
    lag = scene.lag()
    assert (lag.end, lag.offsets_behind, lag.oldest_seconds) == (2, 1, 0)


def test_groups_and_partitions_are_told_apart(addresses: Addresses) -> None:
    bootstrap = addresses.kafka_bootstrap
    topic, groups = fresh(bootstrap, 3), [f"group-{uuid4().hex[:8]}" for _ in range(2)]
    append(bootstrap, topic, [(f"key-{number}", b"", []) for number in range(30)])
    ends = {record.partition: record.offset + 1 for record in read_all(bootstrap, topic.name)}
    commit(bootstrap, groups[0], topic, 1, 1)
    commit(bootstrap, groups[1], topic, 2, ends[2])
    lags = LagProbe(bootstrap, {group: [topic] for group in groups}).measure().lags
    found = {(lag.group, lag.partition): lag.offsets_behind for lag in lags}
    assert found == {
        (groups[0], 0): ends[0],
        (groups[0], 1): ends[1] - 1,
        (groups[0], 2): ends[2],
        (groups[1], 0): ends[0],
        (groups[1], 1): ends[1],
        (groups[1], 2): 0,
    }
    assert all((lag.oldest_seconds > 0) == (lag.offsets_behind > 0) for lag in lags)


def test_dead_letters_are_counted_until_they_are_sent_back(scene: Scene) -> None:
    name = dead_letter_name(scene.topic.name, scene.group)
    assert name not in scene.probe.measure().dead_letters
    provision(scene.bootstrap, [Topic(name, "as the source", 1, scene.group, -1)])
    append(scene.bootstrap, name, numbered(3))
    assert scene.probe.measure().dead_letters[name] == 3
    commit(scene.bootstrap, f"{name}.redrive", name, 0, 2)
    assert scene.probe.measure().dead_letters[name] == 1


def test_topics_that_do_not_exist_are_left_out(addresses: Addresses) -> None:
    missing = fresh(addresses.kafka_bootstrap, create=False)
    snapshot = LagProbe(addresses.kafka_bootstrap, {"nobody": [missing]}).measure()
    assert (snapshot.lags, dict(snapshot.dead_letters)) == ((), {})


async def test_the_component_keeps_the_last_measurement_and_sets_the_metrics(addresses: Addresses) -> None:
    scene = await asyncio.to_thread(Scene, addresses.kafka_bootstrap)
    await asyncio.to_thread(scene.append, 2)
    stopping = asyncio.Event()
    running = asyncio.create_task(scene.probe.run(stopping))
    for _ in range(1000):
        if scene.probe.snapshot() is not None:
            break
        await asyncio.sleep(0.01)
    stopping.set()
    await running
    snapshot = scene.probe.snapshot()
    assert snapshot is not None
    assert [lag.offsets_behind for lag in snapshot.lags] == [2]
    place = {"topic": scene.topic.name, "partition": "0", "group": scene.group}
    assert REGISTRY.get_sample_value("taxiway_lag_offsets", place) == 2
    age = REGISTRY.get_sample_value("taxiway_lag_oldest_uncommitted_seconds", place)
    assert age == pytest.approx(3600, abs=60)


def test_busy_partitions_do_not_keep_each_other_from_being_measured(addresses: Addresses) -> None:
    """With a low `queued.min.messages` what was fetched of one partition held the fetches of all others up, for seconds
    each, and beside a steady stream for ever."""
    topic = fresh(addresses.kafka_bootstrap, 6)
    append(addresses.kafka_bootstrap, topic, [(str(number), b"", []) for number in range(1200)])
    reader = LogReader(addresses.kafka_bootstrap)
    spans = reader.spans([topic.name])
    started = time.monotonic()
    for _ in range(20):
        wanted = {place: span.start + len(span) // 2 for place, span in spans.items()}
        assert reader.append_times(wanted).keys() == spans.keys()
    reader.close()
    assert time.monotonic() - started < 5
