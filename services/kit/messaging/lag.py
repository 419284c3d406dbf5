"""How far each consumer group is behind, exactly, also while its consumers are down.

Three numbers tell about a topic, a partition and a group, and all are asked of Kafka. The age of an event when its
effect was committed is measured by the consumer, which leaves it beside the offset (`commit_note`). The offsets behind
the end of the log, and the age of the oldest record that is not committed, by its log-append time, are measured here.
That record is read from the log, because a count of offsets does not say how long anybody has been waiting. An age
compares the broker's clock with this machine's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import KafkaException
from loguru import logger

from schemas.topics import TOPICS, Topic, dead_letter_name
from services.kit.clock import Clock, SystemClock
from services.kit.messaging.commit_note import age_in
from services.kit.messaging.log_reader import REQUEST_SECONDS, LogReader, Place
from services.kit.observability import metrics
from services.kit.observability.health import Heartbeat
from services.kit.waiting import wait

INTERVAL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Lag:
    """How far one group is behind on one partition."""

    topic: str
    partition: int
    group: str
    committed: int | None
    """Offset that the group reads next after a restart; None when it has committed nothing, or its offset expired."""
    end: int
    """Offset that the next record will get."""
    offsets_behind: int
    """Records that are not committed; those that retention deleted before they were read are not among them."""
    oldest_seconds: float
    """Age of the oldest of them; 0 when there is none."""
    age_at_commit_seconds: float | None = None
    """How long the first event of the last committed batch had waited then; None when the consumer left no note."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One measurement of all groups."""

    measured_at: datetime
    lags: tuple[Lag, ...]
    dead_letters: Mapping[str, int]
    """Records in each dead-letter topic that were not sent back."""


Groups = Mapping[str, Sequence[Topic]]
"""Consumer groups and the topics that each reads."""


def groups_of(topics: Iterable[Topic] = TOPICS) -> Groups:
    """The groups that the contract names as readers."""
    groups: dict[str, list[Topic]] = {}
    for topic in topics:
        for group in topic.groups:
            groups.setdefault(group, []).append(topic)
    return groups


def next_offset(committed: int | None, low: int) -> int:
    """What a group reads next: where it stopped, or the beginning of the log when it never committed or was left behind
    by retention (`auto.offset.reset=earliest`, which all our consumers have).
    """
    return low if committed is None else max(committed, low)


class LagProbe:
    """A component that measures every few seconds, sets the metrics, and keeps the last measurement for `/lag`."""

    name = "lag probe"

    def __init__(
        self,
        bootstrap: str,
        groups: Groups | None = None,
        *,
        clock: Clock | None = None,
        interval: float = INTERVAL_SECONDS,
        heartbeat: Heartbeat | None = None,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._reader = LogReader(bootstrap, request_seconds=request_seconds)
        self._groups = groups if groups is not None else groups_of()
        self._clock = clock or SystemClock()
        self._interval = interval
        self._heartbeat = heartbeat or Heartbeat(self.name)
        self._appended: dict[tuple[str, Place], tuple[int, float]] = {}
        self._snapshot: Snapshot | None = None

    def snapshot(self) -> Snapshot | None:
        """The last measurement; None before the first. Its time tells how fresh it is."""
        return self._snapshot

    async def run(self, stopping: asyncio.Event) -> None:
        """Measure until `stopping`. While Kafka is away the last measurement stands, and its time tells its age."""
        try:
            while not stopping.is_set():
                self._heartbeat.beat()
                await self._try()
                await wait(stopping, self._interval)
        finally:
            await asyncio.to_thread(self._reader.close)
            self._heartbeat.end()

    async def _try(self) -> None:
        try:
            snapshot = await asyncio.to_thread(self.measure)
        except KafkaException as error:
            logger.warning("{}: not measured: {}", self.name, error.args[0].str())
            return
        self._snapshot = snapshot
        publish(snapshot)

    def measure(self) -> Snapshot:
        """Ask Kafka now; blocks. Raises `KafkaException` when it is away. Topics that do not exist are left out."""
        dead = {
            dead_letter_name(topic.name, group): f"{dead_letter_name(topic.name, group)}.redrive"
            for group, topics in self._groups.items()
            for topic in topics
        }
        names = {topic.name for topics in self._groups.values() for topic in topics}
        spans = self._reader.spans(names | set(dead))
        lags = [lag for group in self._groups for lag in self._lags_of(group, spans)]
        depths = {topic: self._depth(topic, group, spans) for topic, group in dead.items() if Place(topic, 0) in spans}
        return Snapshot(self._clock.now(), tuple(lags), depths)

    def _lags_of(self, group: str, spans: Mapping[Place, range]) -> list[Lag]:
        names = {topic.name for topic in self._groups[group]}
        places = sorted(place for place in spans if place.topic in names)
        commits = self._reader.commits(group, places)
        committed = {place: commit.offset for place, commit in commits.items()}
        waiting = {
            place: offset
            for place in places
            if (offset := next_offset(committed.get(place), spans[place].start)) < spans[place].stop
        }
        appended = self._append_times(group, waiting)
        now = self._clock.now().timestamp()
        return [
            Lag(
                topic=place.topic,
                partition=place.partition,
                group=group,
                committed=committed.get(place),
                end=spans[place].stop,
                offsets_behind=spans[place].stop - waiting[place] if place in waiting else 0,
                oldest_seconds=max(0.0, now - appended[place]) if place in appended else 0.0,
                age_at_commit_seconds=age_in(commits[place].note) if place in commits else None,
            )
            for place in places
        ]

    def _append_times(self, group: str, waiting: Mapping[Place, int]) -> dict[Place, float]:
        """Seconds since the epoch at which each waiting record was appended; one that is known is not read again."""
        known = {
            place: self._appended[group, place][1]
            for place, offset in waiting.items()
            if self._appended.get((group, place), (None, 0.0))[0] == offset
        }
        fetched = self._reader.append_times({place: at for place, at in waiting.items() if place not in known})
        for place, seconds in fetched.items():
            self._appended[group, place] = (waiting[place], seconds)
        return known | fetched

    def _depth(self, topic: str, redrive_group: str, spans: Mapping[Place, range]) -> int:
        place = Place(topic, 0)
        span = spans[place]
        return span.stop - min(
            span.stop, next_offset(self._reader.committed(redrive_group, [place])[place], span.start)
        )


def publish(snapshot: Snapshot) -> None:
    """Set the metrics to what was measured."""
    for lag in snapshot.lags:
        labels = (lag.topic, str(lag.partition), lag.group)
        metrics.LAG_OFFSETS.labels(*labels).set(lag.offsets_behind)
        metrics.LAG_SECONDS.labels(*labels).set(lag.oldest_seconds)
        metrics.LAG_MEASURED_AT.labels(lag.group).set(snapshot.measured_at.timestamp())
    for topic, depth in snapshot.dead_letters.items():
        metrics.DEAD_LETTER_DEPTH.labels(topic).set(depth)
