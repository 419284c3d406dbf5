"""The consumer loop: one thread polls one plain librdkafka consumer, asyncio handles its batches.

One batch is in flight at a time; librdkafka prefetches the next one meanwhile. While a batch takes long (a database is
away, a handler backs off) the partitions are paused and polling goes on, so the group membership stays alive. An offset
is committed only after the batch's effects are. A revoked partition is handed over only when the batch in flight has
ended and its offsets are committed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from loguru import logger

from services.kit.checkpoints import Checkpoint, Reached, pass_by
from services.kit.errors import TransientError
from services.kit.messaging.commit_note import note_of
from services.kit.messaging.dead_letters import TripWireError
from services.kit.messaging.producer import CLIENT_LOG
from services.kit.messaging.record import Record, record_of
from services.kit.observability import metrics
from services.kit.observability.health import Heartbeat
from services.kit.resilience import Backoff

Process = Callable[[Sequence[Record]], Awaitable[None]]
"""Handles a batch to its end: on return all effects are committed. Raises `TransientError` to be called again."""

BATCH = 500
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 0.5
"""A batch that takes longer pauses the partitions."""
DRAIN_SECONDS = 10.0
"""How long a rebalance waits for the batch in flight before it is given up (and redone by the new owner)."""
REJOIN_SECONDS = 1.0
"""Between a fatal error and joining anew: two copies under one name throw each other out, and not all the time."""


def consumer_settings(bootstrap: str, group: str, instance: str, session_timeout_seconds: float) -> dict[str, Any]:
    """librdkafka settings of every consumer of ours. Static membership: a quick restart moves no partition."""
    return {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "group.instance.id": f"{group}-{instance}",
        "client.id": f"{group}-{instance}",
        "session.timeout.ms": int(session_timeout_seconds * 1000),
        "heartbeat.interval.ms": int(session_timeout_seconds * 1000 / 3),
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "log_level": 3,
    }


class ConsumerLoop:
    """A component that feeds `process` with the records of `topics`, for one group."""

    def __init__(
        self,
        settings: dict[str, Any],
        topics: Sequence[str],
        process: Process,
        *,
        batch: int = BATCH,
        backoff: Backoff | None = None,
        reached: Reached = pass_by,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._group = str(settings["group.id"])
        self.name = f"consumer {self._group}"
        self._settings = settings
        self._topics = list(topics)
        self._process = process
        self._batch = batch
        self._backoff = backoff or Backoff()
        self._reached = reached
        self._heartbeat = heartbeat or Heartbeat(self.name)
        self._stop = threading.Event()
        self._in_flight: concurrent.futures.Future[None] | None = None
        self._records: list[Record] = []
        self._lost: set[tuple[str, int]] = set()
        self._fatal: KafkaError | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping`, then finish the batch in flight, commit and leave; raises what `process` raises."""
        self._loop = asyncio.get_running_loop()
        polling = asyncio.create_task(asyncio.to_thread(self._poll_until_stopped))
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({polling, stop}, return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        stop.cancel()
        try:
            await polling
        except TripWireError as error:
            await self._tripped(error, stopping)

    async def _tripped(self, error: TripWireError, stopping: asyncio.Event) -> None:
        """Consume no more, and say so until a person comes: a restart by itself would only set more aside.

        When the session has run out, another copy gets the partitions, and trips over them too.
        """
        logger.error("{}: stopped by the trip-wire: {}", self.name, error)
        metrics.CONSUMER_TRIPPED.labels(self._group).set(1)
        self._heartbeat.stop(str(error))
        await stopping.wait()

    # -- everything below runs in the polling thread, except _process_until_done ----------------------------------

    def _poll_until_stopped(self) -> None:
        """Consume, with one client after the other: one that met a fatal error gives nothing any more.

        That happens to a healthy process too. A broker that was away lets a static member in again under a new id, and
        calls its commit under the old one a second process of the same name.
        """
        while not self._stop.is_set():
            self._consumer = Consumer(self._settings, logger=CLIENT_LOG)
            try:
                self._consume()
            except KafkaException as error:
                logger.error("{}: {}; joining anew", self.name, error)
                metrics.CONSUMER_REJOINS.labels(self._group).inc()
                self._let_go()
                self._stop.wait(REJOIN_SECONDS)
            finally:
                self._consumer.close()

    def _consume(self) -> None:
        self._fatal = None
        self._consumer.subscribe(
            self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._partitions_lost
        )
        while not self._stop.is_set():
            self._heartbeat.beat()
            records = self._poll()
            if records:
                self._handle(records)
            if self._fatal is not None:
                raise KafkaException(self._fatal)

    def _let_go(self) -> None:
        """End the batch in flight, so that the next client's is the only one; what it did the inbox knows."""
        self._drain()
        self._in_flight, self._records = None, []

    def _drain(self) -> bool:
        """Wait for the batch in flight, or give it up; returns whether it ended by itself, or there was none."""
        if self._in_flight is None or self._wait(DRAIN_SECONDS):
            return True
        self._in_flight.cancel()
        self._wait(DRAIN_SECONDS)
        return False

    def _poll(self) -> list[Record]:
        """What has arrived, up to a batch: waits for the first message only, so that one alone is not held up."""
        first = self._consumer.poll(POLL_SECONDS)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(self._batch - 1, timeout=0)]
        return [record for message in messages if (record := self._record(message)) is not None]

    def _record(self, message: Any) -> Record | None:
        error = message.error()
        if error is None:
            return record_of(message)
        self._note(error)
        return None

    def _note(self, error: KafkaError) -> None:
        """Fatal errors are told once; they end the client after the batch in hand."""
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fatal = error
        else:
            logger.warning("{}: {}", self.name, error)

    def _handle(self, records: list[Record]) -> None:
        self._records, self._lost = records, set()
        self._in_flight = asyncio.run_coroutine_threadsafe(self._process_until_done(records), self._loop)
        if not self._wait(PATIENCE_SECONDS):
            self._wait_paused()
        self._settle()

    def _wait(self, seconds: float) -> bool:
        return self._in_flight is None or bool(concurrent.futures.wait([self._in_flight], timeout=seconds).done)

    def _wait_paused(self) -> None:
        """Keep the membership alive while the batch takes its time; paused partitions give no records."""
        self._consumer.pause(self._consumer.assignment())
        metrics.CONSUMER_PAUSED.labels(self._group).set(1)
        while self._in_flight is not None and not self._wait(0):
            self._heartbeat.beat()
            self._unread(self._consumer.poll(POLL_SECONDS))
            if self._stop.is_set() and not self._wait(DRAIN_SECONDS):
                self._in_flight.cancel()
        metrics.CONSUMER_PAUSED.labels(self._group).set(0)
        self._consumer.resume(self._consumer.assignment())

    def _unread(self, message: Any) -> None:
        """A message that slipped through while paused (a partition that was just assigned) is read again later."""
        if message is None:
            return
        if (error := message.error()) is None:
            self._consumer.seek(TopicPartition(message.topic(), message.partition(), message.offset()))
        else:
            self._note(error)

    def _settle(self) -> None:
        """Commit the batch in flight if it succeeded; read it again if it was given up; raise what it raised."""
        batch, self._in_flight = self._in_flight, None
        if batch is None:
            return
        try:
            batch.result()
        except (concurrent.futures.CancelledError, asyncio.CancelledError):
            self._rewind()
            return
        self._commit(asynchronous=not self._stop.is_set())

    def _commit(self, *, asynchronous: bool) -> None:
        latest = {(record.topic, record.partition): record.offset for record in self._records}
        ages = metrics.observe_ages_at_commit(self._group, self._records)
        offsets = [
            TopicPartition(*place, offset + 1, metadata=note_of(ages[place]))
            for place, offset in latest.items()
            if place not in self._lost
        ]
        try:
            if offsets:
                self._consumer.commit(offsets=offsets, asynchronous=asynchronous)  # type: ignore[call-overload]
        except KafkaException as error:  # the inbox drops what is read again
            logger.warning("{}: offsets not committed: {}", self.name, error)
        self._records = []
        self._reached(Checkpoint.AFTER_OFFSET)

    def _rewind(self) -> None:
        first: dict[tuple[str, int], int] = {}
        for record in self._records:
            first.setdefault((record.topic, record.partition), record.offset)
        mine = {(place.topic, place.partition) for place in self._consumer.assignment()}
        for place, offset in first.items():
            if place in mine and not self._stop.is_set():
                self._consumer.seek(TopicPartition(*place, offset))
        self._records = []

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        metrics.REBALANCES.labels(self._group, "assigned").inc()
        consumer.incremental_assign(partitions)
        if self._in_flight is not None:
            consumer.pause(partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Hand over nothing that is half done: wait for the batch in flight, or give it up; then let go."""
        metrics.REBALANCES.labels(self._group, "revoked").inc()
        if self._drain() and self._in_flight is not None and self._in_flight.exception() is None:
            self._in_flight = None
            self._commit(asynchronous=False)
        consumer.incremental_unassign(partitions)

    def _partitions_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Somebody else has them: what is in flight may finish (the inbox decides), its offsets are not ours."""
        metrics.REBALANCES.labels(self._group, "lost").inc()
        self._lost |= {(place.topic, place.partition) for place in partitions}
        consumer.incremental_unassign(partitions)

    async def _process_until_done(self, records: Sequence[Record]) -> None:
        attempt = 0
        while True:
            try:
                await self._process(records)
            except TransientError as error:
                attempt += 1
                metrics.CONSUMER_RETRIES.labels(self._group).inc()
                seconds = self._backoff.seconds(attempt)
                logger.warning("{}: {}; attempt {} in {:.1f} s", self.name, error, attempt + 1, seconds)
                await asyncio.sleep(seconds)
            else:
                return
