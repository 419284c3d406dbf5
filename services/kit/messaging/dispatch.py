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
from prometheus_client import Counter, Histogram

from schemas.base import EventData
from schemas.envelope import Attributes, Event, event_of, header_text, read_attributes
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
    """A record as it was read: to be handled, to be set aside, or of no interest to this group."""

    __slots__ = ("defect", "event", "identity", "place", "record", "redriven", "sequence")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.event: Event[Any] | None = None
        """What is to be handled."""
        self.identity: inbox.Identity = ("", "")
        """Source and id under which it is claimed."""
        self.place: inbox.TopicKey = (record.topic, (record.key or b"").decode(errors="replace"))
        """Topic and key, within which sequences count."""
        self.sequence: int | None = None
        """None from outside, too: what a stranger numbers says nothing."""
        self.redriven = False
        self.defect: Defect | None = None
        """Why it is to be set aside."""

    def brings(self, event: Event[Any], namespace: str | None) -> None:
        """It is an event to be handled; one from outside is known within its sender's namespace."""
        self.event = event
        self.identity = (event.source if namespace is None else f"{namespace} {event.source}", event.id)
        self.redriven = header_text(self.record.headers, REDRIVEN_HEADER) is not None


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
        self._measures: dict[str, tuple[Histogram, Counter]] = {}
        self._aside: set[tuple[str, int, int]] = set()
        """Places of the batch in hand that are among the dead letters already."""

    async def process(self, records: Sequence[Record]) -> None:
        """Handle a batch to its end. Raises `TransientError` to be called again, `TripWireError` to be stopped.

        What cannot be read is set aside after the effects: while the database is away the batch is tried again and
        again, and should leave nothing behind.
        """
        arrivals = [await self._read(record) for record in records]
        try:
            await self._handle(arrivals)
        except TransientError:
            raise
        except Exception as error:
            logger.warning("{}: batch of {} redone one by one: {!r}", self._group, len(arrivals), error)
            for arrival in arrivals:
                await self._handle_alone(arrival)
                await self._settle(arrival)
        else:
            for arrival in arrivals:
                await self._settle(arrival)
        self._aside.clear()

    async def _settle(self, arrival: Arrival) -> None:
        """Set aside what could not be handled: once, though the batch may be tried again; then its key goes on."""
        if arrival.defect is None:
            self._dead_letters.trip_wire.passed()
            return
        place = arrival.record[:3]
        if place not in self._aside:
            await self._dead_letters.set_aside(arrival.record, arrival.defect)
            self._aside.add(place)
        if arrival.event is not None:  # its handler failed, and took its place in the sequence back with it
            arrival.event = None
            await self._handle([arrival])

    async def _read(self, record: Record) -> Arrival:
        """The record as an event, or what is wrong with it; strangers' records break parsers in ways nobody expects."""
        arrival = Arrival(record)
        try:
            await self._understand(arrival)
        except TransientError:
            raise
        except UnknownEventTypeError as error:
            if self._authenticate is None:  # an old reader meets a new type: skip, do not fill the dead letters
                metrics.HANDLED.labels(self._group, "unknown", "unknown").inc()
            else:
                arrival.defect = self._defect(error.code, error.message)
        except ContractError as error:
            arrival.defect = self._defect(error.code, error.message)
        except Exception as error:
            logger.opt(exception=error).error("{}: {} cannot be read", self._group, record.position)
            arrival.defect = self._defect("unreadable", f"{type(error).__name__}: {error}")
        return arrival

    async def _understand(self, arrival: Arrival) -> None:
        record = arrival.record
        attributes = read_attributes(record.headers, lenient=self._authenticate is None)
        namespace = None
        if self._authenticate is None:
            arrival.sequence = attributes.sequence
        else:
            namespace = await self._authenticate(record, attributes)
        event = event_of(attributes, record.value, lenient=namespace is None, position=record.position)
        if type(event.data) in self._handlers:
            arrival.brings(event, namespace)
        elif namespace is None:
            metrics.HANDLED.labels(self._group, event.type, "unknown").inc()
        else:
            raise UnknownEventTypeError(event.type)

    def _defect(self, code: str, message: str) -> Defect:
        """An outside sender's record counts for nothing in the trip-wire: a tenant could stop the consumer with it."""
        return Defect(code, message, 1, self._clock.now(), is_our_fault=self._authenticate is None)

    async def _handle(self, arrivals: Sequence[Arrival]) -> None:
        """All in one transaction."""
        if all(arrival.event is None and arrival.sequence is None for arrival in arrivals):
            return
        async with self._database.unit_of_work() as work:
            self._reached(Checkpoint.BEFORE_CLAIM)
            fresh = await self._claim(work, arrivals)
            self._reached(Checkpoint.AFTER_CLAIM)
            for event in fresh:
                await self._call(event, work)

    async def _claim(self, work: UnitOfWork, arrivals: Sequence[Arrival]) -> list[Event[Any]]:
        """The events that were not handled before, in order; duplicates and passed sequences are counted.

        Records that are not handled count in the sequence of their key all the same.
        """
        driver = await work.driver()
        identities = [arrival.identity for arrival in arrivals if arrival.event is not None]
        unclaimed = await inbox.claim(driver, self._group, identities) if identities else set()
        numbered = {arrival.place for arrival in arrivals if arrival.sequence is not None}
        reached = await inbox.positions(driver, self._group, numbered) if numbered else {}
        before = dict(reached)
        fresh = [
            arrival.event
            for arrival in arrivals
            if self._is_in_order(arrival, unclaimed, reached) and arrival.event is not None
        ]
        if reached != before:
            await inbox.advance(driver, self._group, reached)
        return fresh

    def _is_in_order(
        self, arrival: Arrival, unclaimed: set[inbox.Identity], reached: dict[inbox.TopicKey, int]
    ) -> bool:
        """Whether it is new; notes how far its key has come."""
        if arrival.event is not None:
            if arrival.identity not in unclaimed:
                metrics.HANDLED.labels(self._group, arrival.event.type, "duplicate").inc()
                return False
            unclaimed.discard(arrival.identity)
        if arrival.sequence is None or arrival.redriven:
            return True
        last = reached.get(arrival.place)
        if last is not None and arrival.sequence <= last:
            metrics.HANDLED.labels(self._group, arrival.event.type if arrival.event else "unknown", "passed").inc()
            return False
        if last is not None and arrival.sequence > last + 1:
            metrics.SEQUENCE_GAPS.labels(self._group).inc()
            logger.error(
                "{}: {} jumps from {} to {}: events are missing", self._group, arrival.place, last, arrival.sequence
            )
        reached[arrival.place] = arrival.sequence
        return True

    async def _call(self, event: Event[Any], work: UnitOfWork) -> None:
        started = time.perf_counter()
        with (
            logger.contextualize(
                event_id=event.id,
                event_type=event.type,
                tenant=event.tenantid,
                deployment=getattr(event.data, "deployment_id", None),
            ),
            tracing.handling(event, self._group),
        ):
            await self._handlers[type(event.data)](event, work)
        seconds, handled = self._measures_of(event.type)
        seconds.observe(time.perf_counter() - started)
        handled.inc()

    def _measures_of(self, event_type: str) -> tuple[Histogram, Counter]:
        """Of handling such events; looked up once, for that costs as much as observing."""
        found = self._measures.get(event_type)
        if found is None:
            found = self._measures[event_type] = (
                metrics.HANDLER_SECONDS.labels(self._group, event_type),
                metrics.HANDLED.labels(self._group, event_type, "handled"),
            )
        return found

    async def _handle_alone(self, arrival: Arrival) -> None:
        """One message, one transaction; to be set aside when it keeps failing."""
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
                logger.opt(exception=error).error("{}: {} cannot be handled", self._group, arrival.record.position)
                arrival.defect = Defect(
                    type(error).__name__, str(error), attempt, first_failed_at, is_our_fault=self._authenticate is None
                )
            return


def position_of(event: Event[Any]) -> str:
    """`topic/partition/offset` of an event that was read from Kafka."""
    if event.position is None:
        raise ValueError("the event was not read from Kafka")
    return str(event.position)
