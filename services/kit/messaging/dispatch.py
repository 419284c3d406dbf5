"""From records to effects: read, claim, handle, say, commit; and what to do with what cannot be handled.

One batch is one transaction. When anything in it fails, the batch is rolled back and its messages are handled one by
one, so that one bad message costs itself only.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from loguru import logger

from schemas.base import EventData
from schemas.envelope import Attributes, Event, decode, header_text, read_attributes
from schemas.errors import ContractError, UnknownEventTypeError
from services.kit.checkpoints import Checkpoint, Reached, pass_by
from services.kit.clock import Clock
from services.kit.errors import PermanentError, TransientError
from services.kit.messaging.dead_letters import DeadLetters, Defect
from services.kit.messaging.record import Record
from services.kit.messaging.redrive import REDRIVEN_HEADER
from services.kit.observability import metrics, tracing
from services.kit.persistence import inbox
from services.kit.persistence.unit_of_work import UnitOfWork

Handler = Callable[[Event[Any], UnitOfWork], Awaitable[None]]
HandlerTable = Mapping[type[EventData], Handler]

Authenticate = Callable[[Record, Attributes], Awaitable[str]]
"""Checks who sent a record from outside and returns the sender's namespace (its tenant): CloudEvents sources are unique
within it only, or one tenant could claim another's ids. Raises `SignatureError`."""

ATTEMPTS = 3
"""Tries of a message whose handler fails unexpectedly, before it is set aside."""


class UnitsOfWork(Protocol):
    """Opens transactions; `Database` does."""

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A transaction that commits when the block ends."""


class Arrival:
    """A record that was read as an event, and the identity it is claimed under."""

    __slots__ = ("event", "identity", "record", "redriven")

    def __init__(self, record: Record, event: Event[Any], namespace: str | None) -> None:
        self.record = record
        self.event = event
        source = event.source if namespace is None else f"{namespace} {event.source}"
        self.identity = (source, event.id)
        self.redriven = header_text(record.headers, REDRIVEN_HEADER) is not None

    @property
    def place(self) -> inbox.TopicKey:
        """Topic and key, within which sequences count."""
        return self.record.topic, self.event.key


class Dispatcher:
    """Handles the batches of one consumer group."""

    def __init__(
        self,
        database: UnitsOfWork,
        group: str,
        handlers: HandlerTable,
        dead_letters: DeadLetters,
        clock: Clock,
        *,
        authenticate: Authenticate | None = None,
        reached: Reached = pass_by,
    ) -> None:
        self._database = database
        self._group = group
        self._handlers = handlers
        self._dead_letters = dead_letters
        self._clock = clock
        self._authenticate = authenticate
        self._reached = reached

    async def process(self, records: Sequence[Record]) -> None:
        """Handle a batch to its end. Raises `TransientError` to be called again, `TripWireError` to be stopped.

        What cannot be read is set aside last: while the database is away the batch is tried again and again, and each
        time would leave another copy among the dead letters.
        """
        arrivals: list[Arrival] = []
        defects: list[tuple[Record, Defect]] = []
        for record in records:
            found = await self._read(record)
            if isinstance(found, Arrival):
                arrivals.append(found)
            elif found is not None:
                defects.append((record, found))
        await self._handle_all(arrivals)
        for record, defect in defects:
            await self._dead_letters.set_aside(record, defect)

    async def _handle_all(self, arrivals: Sequence[Arrival]) -> None:
        """In one transaction; when that fails for good, one by one."""
        try:
            await self._handle(arrivals)
        except TransientError:
            raise
        except Exception as error:
            logger.warning("{}: batch of {} redone one by one: {!r}", self._group, len(arrivals), error)
            for arrival in arrivals:
                await self._handle_alone(arrival)
        else:
            self._dead_letters.trip_wire.passed(len(arrivals))

    async def _read(self, record: Record) -> Arrival | Defect | None:
        """The record as an event, or what is wrong with it; None when there is nothing to do."""
        try:
            namespace = None
            if self._authenticate is not None:
                namespace = await self._authenticate(record, read_attributes(record.headers))
            event = decode(record.headers, record.value, lenient=namespace is None, position=record.position)
        except UnknownEventTypeError as error:
            if self._authenticate is None:  # an old reader meets a new type: skip, do not fill the dead letters
                metrics.HANDLED.labels(self._group, "unknown", "unknown").inc()
                return None
            return self._defect(error)
        except ContractError as error:
            return self._defect(error)
        if type(event.data) not in self._handlers:
            if self._authenticate is not None:
                return self._defect(UnknownEventTypeError(event.type))
            metrics.HANDLED.labels(self._group, event.type, "unknown").inc()
            return None
        return Arrival(record, event, namespace)

    def _defect(self, error: ContractError) -> Defect:
        """An outside sender's record counts for nothing in the trip-wire: a tenant could stop the consumer with it."""
        return Defect(error.code, error.message, 1, self._clock.now(), is_our_fault=self._authenticate is None)

    async def _handle(self, arrivals: Sequence[Arrival]) -> None:
        """All in one transaction."""
        if not arrivals:
            return
        async with self._database.unit_of_work() as work:
            self._reached(Checkpoint.BEFORE_CLAIM)
            fresh = await self._claim(work, arrivals)
            self._reached(Checkpoint.AFTER_CLAIM)
            for arrival in fresh:
                await self._call(arrival.event, work)

    async def _claim(self, work: UnitOfWork, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """The arrivals that were not handled before, in order; duplicates and passed sequences are counted."""
        driver = await work.driver()
        unclaimed = await inbox.claim(driver, self._group, [arrival.identity for arrival in arrivals])
        numbered = {arrival.place for arrival in arrivals if arrival.event.sequence is not None}
        reached = await inbox.positions(driver, self._group, numbered) if numbered else {}
        before = dict(reached)
        fresh = [arrival for arrival in arrivals if self._is_fresh(arrival, unclaimed, reached)]
        if reached != before:
            await inbox.advance(driver, self._group, reached)
        return fresh

    def _is_fresh(self, arrival: Arrival, unclaimed: set[inbox.Identity], reached: dict[inbox.TopicKey, int]) -> bool:
        event = arrival.event
        if arrival.identity not in unclaimed:
            metrics.HANDLED.labels(self._group, event.type, "duplicate").inc()
            return False
        unclaimed.discard(arrival.identity)
        if event.sequence is None or arrival.redriven:
            return True
        last = reached.get(arrival.place)
        if last is not None and event.sequence <= last:
            metrics.HANDLED.labels(self._group, event.type, "passed").inc()
            return False
        if last is not None and event.sequence > last + 1:
            metrics.SEQUENCE_GAPS.labels(self._group).inc()
            logger.error(
                "{}: {} jumps from {} to {}: events are missing", self._group, arrival.place, last, event.sequence
            )
        reached[arrival.place] = event.sequence
        return True

    async def _call(self, event: Event[Any], work: UnitOfWork) -> None:
        started = time.perf_counter()
        with (
            logger.contextualize(event_id=event.id, tenant=event.tenantid, event_type=event.type),
            tracing.handling(event, self._group),
        ):
            await self._handlers[type(event.data)](event, work)
        metrics.HANDLER_SECONDS.labels(self._group, event.type).observe(time.perf_counter() - started)
        metrics.HANDLED.labels(self._group, event.type, "handled").inc()

    async def _handle_alone(self, arrival: Arrival) -> None:
        """One message, one transaction; set aside when it keeps failing."""
        first_failed_at = None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._handle([arrival])
            except TransientError:
                raise
            except Exception as error:
                first_failed_at = first_failed_at or self._clock.now()
                if attempt < ATTEMPTS and not isinstance(error, PermanentError):
                    continue
                logger.opt(exception=error).error("{}: {} cannot be handled", self._group, arrival.event.type)
                defect = Defect(type(error).__name__, str(error), attempt, first_failed_at)
                await self._dead_letters.set_aside(arrival.record, defect)
            else:
                self._dead_letters.trip_wire.passed()
            return


def position_of(event: Event[Any]) -> str:
    """`topic/partition/offset` of an event that was read from Kafka."""
    if event.position is None:
        raise ValueError("the event was not read from Kafka")
    return str(event.position)
