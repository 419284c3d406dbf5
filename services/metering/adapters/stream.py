"""The stream of usage records and its table, by Faust, run inside our own process and event loop.

What the library does otherwise than one would expect, and what is done about it: an exception in an agent acknowledges
the event, so nothing may be raised before the stream is told to stop; a missing topic makes it loop for ever, so
topics are made and seen before it starts; its web server would show the tables to anyone, so it is off; when a table
is rebuilt it throws away what it fetched too early, and what it skips it acknowledges: see `_hold_flow`, `_Consumer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import faust
from faust.transport.drivers.aiokafka import Consumer
from loguru import logger

from schemas.topics import METERING_USAGE, USAGE_SAMPLES, Topic
from services.kit.errors import TransientError
from services.kit.messaging.dead_letters import TripWireError
from services.kit.messaging.record import Record
from services.kit.observability import metrics
from services.kit.observability.health import Heartbeat
from services.metering.adapters import patience
from services.metering.adapters.changelog import changelog_of, ensure
from services.metering.domain.model import Total, TotalKey
from services.metering.ports import Reader

TABLE = "totals"
BUFFERED_RECORDS = 64
"""Records waiting in memory; each may have 256 KiB."""
BEAT_SECONDS = 5.0
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How the stream joins its group."""

    bootstrap: str
    """Kafka brokers, `host:port` joined by commas."""
    instance: str
    """Static membership: a quick restart of the same copy moves no partition."""
    session_seconds: float = 10.0
    group: str = METERING_USAGE
    topic: Topic = USAGE_SAMPLES


class FaustTotals:
    """The `Totals` of the stream: a table in memory, each write one record of the changelog."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def get(self, key: TotalKey) -> Total | None:
        """See `Totals.get`."""
        found = self._table.get(str(key))
        return None if found is None else Total(found["total"], found["hi"])

    def put(self, key: TotalKey, total: Total) -> None:
        """See `Totals.put`. The changelog partition is that of the record being handled."""
        self._table[str(key)] = {"total": total.total, "hi": total.hi}


class UsageStream:
    """A component that feeds a reader with the usage records, and acknowledges each when it was handled."""

    def __init__(self, settings: StreamSettings) -> None:
        self.name = f"stream {settings.group}"
        self._settings = settings
        self._app = _app(settings)
        self._reader: Reader | None = None
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._heartbeat = Heartbeat(self.name)
        self.totals = FaustTotals(self._app.Table(TABLE, default=None, partitions=settings.topic.partitions))
        topic = self._app.topic(
            settings.topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        self._app.agent(topic, name="usage")(self._read)
        self._app.on_partitions_assigned.connect(self._assigned)
        self._app.on_rebalance_complete.connect(self._hold_flow)

    def feed(self, reader: Reader) -> None:
        """Who handles the records; before `run`."""
        self._reader = reader

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until `stopping`, finish the record in hand, commit; raises what stopped the reader."""
        await self._see_topics(stopping)
        if stopping.is_set():
            return
        starting = asyncio.create_task(self._app.start())
        try:
            await self._until(stopping)
        finally:
            await self._app.stop()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        failure = self._failure or self._app.crash_reason
        if isinstance(failure, TripWireError):
            self._heartbeat.stop(str(failure))
            await stopping.wait()
        self._heartbeat.end()
        if failure is not None and not isinstance(failure, TripWireError):
            raise failure

    async def _see_topics(self, stopping: asyncio.Event) -> None:
        changelog = changelog_of(self._settings.topic, self._settings.group, TABLE)
        while not stopping.is_set():
            self._heartbeat.beat()
            try:
                await asyncio.to_thread(ensure, self._settings.bootstrap, self._settings.topic, changelog)
                return
            except TransientError as error:
                logger.warning("{}: {}", self.name, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _until(self, stopping: asyncio.Event) -> None:
        waits = {asyncio.create_task(event.wait()) for event in (stopping, self._failed)}
        waits.add(asyncio.create_task(self._app.wait_until_stopped()))
        pending = waits
        while pending == waits:
            self._heartbeat.beat()
            _, pending = await asyncio.wait(waits, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()

    async def _read(self, stream: Any) -> None:
        assert self._reader is not None  # noqa: S101  the composition root feeds before it runs
        async for event in stream.noack().events():
            record = record_of(event.message)
            try:
                await self._reader.count(record)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                await self._stop_with(error)
            event.ack()
            metrics.observe_ages_at_commit(self._settings.group, [record])

    async def _stop_with(self, error: BaseException) -> None:
        """Never returns to the stream, which would go on with the next record."""
        logger.opt(exception=error).error("{}: stopped", self.name)
        metrics.CONSUMER_TRIPPED.labels(self._settings.group).set(1)
        self._failure = error
        self._failed.set()
        await asyncio.Event().wait()

    async def _assigned(self, _: Any, assigned: Iterable[Any], **__: Any) -> None:
        partitions = sorted(place.partition for place in assigned if place.topic == self._settings.topic.name)
        metrics.REBALANCES.labels(self._settings.group, "assigned").inc()
        logger.info("{}: partitions {}", self.name, partitions)
        if self._reader is not None:
            self._reader.forget(partitions)

    async def _hold_flow(self, app: Any, **_: Any) -> None:
        """Fetch nothing until the stream stands at what was committed; the library itself lets the flow go on then.

        The table rebuilt, it lets the stream's partitions be fetched, seeks, and empties the queues, in this order.
        What a fetch brought in between was thrown away and taken for a gap in the log: under load one restart in five
        lost some records.
        """
        app.consumer.stop_flow()


class _Consumer(Consumer):
    """Acknowledges what was handed to the reader, and nothing else."""

    def ack(self, message: Any) -> bool:
        """Ignore a message that the stream skips, because a rebalance or the end began just when it took it."""
        return bool(super().ack(message)) if message.tracked else False


def _app(settings: StreamSettings) -> Any:
    patience.install()
    app = faust.App(
        settings.group,
        broker=";".join(f"kafka://{address}" for address in settings.bootstrap.split(",")),
        store="memory://",
        processing_guarantee="at_least_once",
        autodiscover=False,
        web_enabled=False,
        reply_create_topic=False,
        topic_disable_leader=True,
        topic_partitions=settings.topic.partitions,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{settings.group}-{settings.instance}",
        broker_client_id=f"{settings.group}-{settings.instance}",
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=settings.session_seconds * 0.3,
        stream_buffer_maxsize=BUFFERED_RECORDS,
        table_standby_replicas=0,
        producer_acks=-1,
        worker_redirect_stdouts=False,
    )
    app.transport.Consumer = _Consumer  # type: ignore[misc]  # the library offers no other way
    return app


def record_of(message: Any) -> Record:
    """A message of the library as a record, bytes untouched."""
    headers = message.headers.items() if isinstance(message.headers, dict) else message.headers or ()
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        list(headers),
        round((message.timestamp or 0) * 1000),
    )
