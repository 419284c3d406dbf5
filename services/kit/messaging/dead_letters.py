"""Dead letters: records that can never be handled are set aside, bytes unchanged, with the reason beside them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Protocol

from loguru import logger

from schemas.envelope import Headers, format_time
from schemas.topics import dead_letter_name
from services.kit.clock import Clock
from services.kit.errors import PermanentError, TaxiwayError
from services.kit.messaging.producer import DeliveryReport, RecordHeaders
from services.kit.messaging.record import Record
from services.kit.observability import metrics

PREFIX = "taxiway_dlq_"
"""Of the headers that a dead letter carries on top of the original ones."""
DROPPED_HEADER = f"{PREFIX}dropped_bytes"
"""Present on a dead letter whose content was too large to keep; its size in bytes."""

HANDLER_VERSION = version("taxiway")


@dataclass(frozen=True, slots=True)
class Defect:
    """Why a record is set aside."""

    error_type: str
    """Stable code, such as `schema`, `signature`, `envelope`, or the class of an unexpected error."""
    message: str
    """What is wrong and what to do; no stack trace."""
    attempts: int
    """How often handling was tried."""
    first_failed_at: datetime
    is_our_fault: bool = True
    """Whether it counts for the trip-wire: not when an outside sender alone can have caused it."""


class TripWireError(TaxiwayError):
    """Too much is invalid: probably this release is, and not the records. The consumer stops."""


class TripWire:
    """Stops a consumer that sets too much aside: `run` dead letters in a row, or `ratio` of the last `window`."""

    def __init__(self, run: int = 50, ratio: float = 0.5, window: int = 200) -> None:
        self._run = run
        self._ratio = ratio
        self._recent: deque[bool] = deque(maxlen=window)
        self._in_a_row = 0

    def passed(self) -> None:
        """A record was handled."""
        self._in_a_row = 0
        self._recent.append(False)

    def check(self) -> None:
        """Call before a record is set aside; raises `TripWireError` when that would be one too many."""
        window = self._recent.maxlen or 0
        bad = sum(self._recent)
        if self._in_a_row >= self._run:
            raise TripWireError(f"{self._in_a_row} records in a row could not be handled")
        if len(self._recent) == window and bad > self._ratio * window:
            raise TripWireError(f"{bad} of the last {window} records could not be handled")

    def set_aside(self) -> None:
        """A record was set aside: its dead letter is delivered."""
        self._in_a_row += 1
        self._recent.append(True)


class Sender(Protocol):
    """Delivers records; `ProducerBridge` does."""

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: RecordHeaders) -> DeliveryReport:
        """See `ProducerBridge.send`."""


class DeadLetters:
    """Sets records aside for one consumer group."""

    def __init__(self, producer: Sender, group: str, clock: Clock, trip_wire: TripWire | None = None) -> None:
        self._producer = producer
        self._group = group
        self._clock = clock
        self.trip_wire = trip_wire or TripWire()

    async def set_aside(self, record: Record, defect: Defect) -> None:
        """Write the dead letter and await its delivery; raises `TransientError` or `TripWireError`.

        A record that is too large together with the reasons is kept without its content: those, and its place.
        """
        if defect.is_our_fault:
            self.trip_wire.check()
        topic, reasons = dead_letter_name(record.topic, self._group), self._headers(record, defect)
        try:
            await self._producer.send(topic, record.key, record.value, [*record.headers, *reasons])
        except PermanentError as error:
            logger.error("{}: set aside without its content: {}", record.position, error)
            size = str(len(record.value or b"")).encode()
            await self._producer.send(topic, None, None, [*reasons, (DROPPED_HEADER, size)])
        if defect.is_our_fault:
            self.trip_wire.set_aside()
        metrics.DEAD_LETTERS.labels(record.topic, self._group, defect.error_type).inc()
        logger.warning(
            "set aside {}/{}/{}: {}: {}",
            record.topic,
            record.partition,
            record.offset,
            defect.error_type,
            defect.message,
        )

    def _headers(self, record: Record, defect: Defect) -> Headers:
        fields = {
            "original_topic": record.topic,
            "original_partition": str(record.partition),
            "original_offset": str(record.offset),
            "original_timestamp": format_time(record.appended_at),
            "consumer_group": self._group,
            "error_type": defect.error_type,
            "error_message": defect.message[:1000],
            "attempts": str(defect.attempts),
            "first_failed_at": format_time(defect.first_failed_at),
            "failed_at": format_time(self._clock.now()),
            "handler_version": HANDLER_VERSION,
        }
        return [(PREFIX + name, value.encode()) for name, value in fields.items()]
