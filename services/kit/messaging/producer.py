"""The producer bridge: librdkafka's producer, awaitable from asyncio.

`AIOProducer` of the client cannot send headers and takes seconds for one awaited message; here one thread polls the
plain producer, and what it reports is handed to the event loop in bunches.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer
from loguru import logger
from prometheus_client import Histogram

from schemas.topics import DEAD_LETTER_BYTES
from services.kit.errors import PermanentError, TransientError
from services.kit.observability import metrics
from services.kit.resilience import Breaker

GRACE_SECONDS = 5.0
"""Beyond the delivery's own timeout, after which a report is not waited for any more."""
MAX_IN_FLIGHT = 10_000
"""Messages handed to librdkafka and not reported yet; more senders wait."""

CLIENT_LOG = logging.getLogger("librdkafka")
"""Where the clients' own log goes, instead of to stderr as it is."""
RecordHeaders = Sequence[tuple[str, bytes | None]]
TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_MSG_SIZE)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """Where the broker put a message."""

    partition: int
    offset: int


class _Report(NamedTuple):
    """What a client said about one message."""

    future: asyncio.Future[DeliveryReport]
    producer: Producer
    """The client: one that was replaced may report late, and says nothing about its successor."""
    error: KafkaError | None
    message: Any


def producer_settings(bootstrap: str, client_id: str, delivery_timeout_seconds: float) -> dict[str, Any]:
    """librdkafka settings of every producer of ours.

    `murmur2_random` puts a key where the Java and aiokafka clients look for it; librdkafka's default does not.
    """
    return {
        "bootstrap.servers": bootstrap,
        "client.id": client_id,
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 1,
        "message.max.bytes": DEAD_LETTER_BYTES,  # above the broker's limit of every topic, which decides
        "delivery.timeout.ms": int(delivery_timeout_seconds * 1000),
        "reconnect.backoff.max.ms": 1000,
        "log_level": 3,
    }


class ProducerBridge:
    """Sends messages and awaits their delivery reports. One per process; belongs to the loop that first sends."""

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        *,
        max_in_flight: int = MAX_IN_FLIGHT,
        delivery_timeout_seconds: float = 10.0,
        make: Callable[[], Producer] | None = None,
    ) -> None:
        settings = producer_settings(bootstrap, client_id, delivery_timeout_seconds)
        self._make = make or (lambda: Producer(settings, logger=CLIENT_LOG))
        self._producer = self._make()
        self._is_broken = False
        """Whether the client met a fatal error: it will never deliver anything again."""
        self._patience = delivery_timeout_seconds + GRACE_SECONDS
        self._waiting: dict[asyncio.Future[DeliveryReport], float] = {}
        """Who waits for a report, and until when by the loop's clock; the longest first."""
        self._alarm: asyncio.TimerHandle | None = None
        self._breaker = Breaker("kafka")
        self._slots = asyncio.Semaphore(max_in_flight)
        in_flight = metrics.PRODUCER_IN_FLIGHT.labels(client_id)
        in_flight.set_function(lambda: max_in_flight - self._slots._value)
        self._seconds: dict[str, Histogram] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reports: deque[_Report] = deque()
        self._handover_scheduled = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="producer-poll", daemon=True)

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: RecordHeaders) -> DeliveryReport:
        """Deliver one message to all in-sync replicas.

        Raises `TransientError` when the broker did not confirm it in time (it may have arrived all the same), or at
        once while it is known to be away, and `PermanentError` when it can never be sent, such as one too large.
        """
        return await self._breaker.call(lambda: self._send(topic, key, value, headers))

    async def _send(self, topic: str, key: bytes | None, value: bytes | None, headers: RecordHeaders) -> DeliveryReport:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread.start()
        if self._is_broken:
            self._renew()
        await self._slots.acquire()
        future: asyncio.Future[DeliveryReport] = self._loop.create_future()
        try:
            await self._hand_over(topic, key, value, headers, future)
        except BaseException:
            self._slots.release()
            raise
        self._waiting[future] = self._loop.time() + self._patience
        if self._alarm is None:
            self._set_alarm(self._loop)
        try:
            return await future
        finally:
            del self._waiting[future]

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        """For the one who waits longest. A timer for each message would cost a third of the sending."""
        due = next(iter(self._waiting.values()), None)
        self._alarm = None if due is None else loop.call_at(due, self._give_up, loop)

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let those go whose time is over."""
        now = loop.time()
        for future, due in self._waiting.items():
            if due > now:
                break
            if not future.done():
                future.set_exception(TransientError("Kafka: no delivery report"))
        self._set_alarm(loop)

    def _renew(self) -> None:
        """Take a new client; what the old one still has is reported as failed."""
        logger.error("the Kafka producer met a fatal error and is replaced")
        old, self._producer, self._is_broken = self._producer, self._make(), False
        threading.Thread(target=_bury, args=(old,), name="producer-bury", daemon=True).start()

    async def _hand_over(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: RecordHeaders,
        future: asyncio.Future[DeliveryReport],
    ) -> None:
        producer = self._producer

        def on_delivery(error: KafkaError | None, message: Any) -> None:
            self._reported(_Report(future, producer, error, message))

        while True:
            try:
                producer.produce(topic, value, key, headers=list(headers), on_delivery=on_delivery)
            except BufferError:
                await asyncio.sleep(0.01)
            except KafkaException as error:
                raise self._failure(producer, error.args[0]) from error
            else:
                return

    def _reported(self, report: _Report) -> None:
        """In the polling thread: queue the report and wake the loop unless a hand-over is on its way already."""
        self._reports.append(report)
        if not self._handover_scheduled and self._loop is not None:
            self._handover_scheduled = True
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        self._handover_scheduled = False
        while self._reports:
            future, producer, error, message = self._reports.popleft()
            self._slots.release()
            if future.done():
                continue
            if error is None:
                self._seconds_of(message.topic()).observe(message.latency())
                future.set_result(DeliveryReport(message.partition(), message.offset()))
            else:
                metrics.PRODUCER_FAILURES.labels(error.name()).inc()
                future.set_exception(self._failure(producer, error))

    def _seconds_of(self, topic: str) -> Histogram:
        """The measure of the topic, looked up once."""
        found = self._seconds.get(topic)
        if found is None:
            found = self._seconds[topic] = metrics.PRODUCER_SECONDS.labels(topic)
        return found

    def _failure(self, producer: Producer, error: KafkaError) -> TransientError | PermanentError:
        if producer is self._producer and (error.fatal() or error.code() == KafkaError._FATAL):
            self._is_broken = True
        text = f"Kafka: {error.name()}: {error.str()}"
        return PermanentError(text) if error.code() in TOO_LARGE else TransientError(text)

    def _poll(self) -> None:
        """Serve reports until closed. Should a callback raise, the thread must live: without it every sender hangs."""
        while not self._closing.is_set():
            try:
                self._producer.poll(0.1)
            except Exception as error:
                logger.opt(exception=error).error("the Kafka producer's callbacks failed")

    async def close(self, timeout_seconds: float = 10.0) -> None:
        """Wait for what is in flight, then stop. Futures of what could not be delivered by then fail."""
        if self._loop is not None:
            if await asyncio.to_thread(self._producer.flush, timeout_seconds):
                self._producer.purge()
                await asyncio.to_thread(self._producer.flush, 1.0)
            self._closing.set()
            await asyncio.to_thread(self._thread.join)
            self._resolve()
            if self._alarm is not None:
                self._alarm.cancel()
        await asyncio.to_thread(self._producer.close)


def _bury(producer: Producer) -> None:
    producer.purge()
    producer.flush(1.0)
