"""What is sent and handled: small events with all the envelope's attributes, as the services send them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from uuid import uuid4

from schemas.base import EventData
from schemas.envelope import Event, Headers, encode
from services.kit.ids import new_id
from services.kit.messaging.record import Record

KEYS = 100
"""Different keys; a batch of 500 has each of them about five times."""
SOURCE = "/taxiway/bench"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Told(EventData):
    """About 150 bytes of facts, keyed by `name`."""

    name: str
    number: int
    reason: str = "what a decision says about itself, in a sentence for people"

    @property
    def key(self) -> str:
        """The name."""
        return self.name


class Asked(Told):
    """What is handled."""

    type: ClassVar[str] = "taxiway.bench.asked.v1"
    topic: ClassVar[str] = "taxiway.bench.asked.v1"


class Answered(Told):
    """What the handler says."""

    type: ClassVar[str] = "taxiway.bench.answered.v1"
    topic: ClassVar[str] = "taxiway.bench.answered.v1"


@dataclass(frozen=True, slots=True)
class Message:
    """A record on its way to Kafka."""

    key: bytes
    value: bytes
    headers: Headers


def asked(count: int) -> list[Event[Asked]]:
    """`count` new events, numbered per key from 1."""
    tenant, correlation = str(uuid4()), str(uuid4())
    return [
        Event(
            id=str(new_id()),
            source=SOURCE,
            time=TIME,
            data=Asked(name=f"deployment-{number % KEYS}", number=number),
            tenantid=tenant,
            actor="service:bench",
            correlationid=correlation,
            causationid=correlation,
            sequence=number // KEYS + 1,
            traceparent=TRACEPARENT,
        )
        for number in range(count)
    ]


def messages(count: int) -> list[Message]:
    """`count` new events, ready to be sent."""
    encoded = ((event.key, encode(event)) for event in asked(count))
    return [Message(key.encode(), value, headers) for key, (value, headers) in encoded]


def records(count: int) -> list[Record]:
    """`count` new events as they would be read from Kafka; no two calls give the same events."""
    appended = int(TIME.timestamp() * 1000)
    return [
        Record(Asked.topic, 0, offset, message.key, message.value, [*message.headers], appended)
        for offset, message in enumerate(messages(count))
    ]
