"""CloudEvents 1.0, Kafka protocol binding, binary mode: attributes are `ce_*` headers, the data is the value (JSON).

Source of the rules: the CloudEvents specification 1.0.2 and its Kafka protocol binding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic

from pydantic import TypeAdapter, ValidationError

from schemas.base import EventData, EventT
from schemas.catalogue import model_for
from schemas.errors import EnvelopeError, SchemaError, place_of
from schemas.text import LENIENT, is_printable, mended

Headers = list[tuple[str, bytes]]
"""Kafka record headers: names may repeat, values are bytes."""

CONTENT_TYPE = "content-type"
JSON = b"application/json"
SPEC_VERSION = "1.0"

REQUIRED = ("id", "source", "type", "specversion", "time")
EXTENSIONS = ("tenantid", "actor", "correlationid", "causationid", "partitionkey", "traceparent")

_HEADER_OF = {name: f"ce_{name}" for name in (*REQUIRED, *EXTENSIONS, "sequence")}

MAX_REQUIRED = 256
"""Characters of a required attribute."""
MAX_EXTENSION = 512
"""Characters of another one, from outside: it is copied into what it causes."""

_SEQUENCE = re.compile(r"0*[0-9]{1,18}")
_TIME = TypeAdapter(datetime)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int
    appended_at: datetime
    """Log-append time, UTC: the broker's clock, which a producer cannot choose."""

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Event(Generic[EventT]):
    """One CloudEvent: who says what, when, about which tenant, and because of what. `source` + `id` is its identity."""

    id: str
    """Unique within `source`; ours are UUIDv7."""
    source: str
    """URI reference of the producer, such as `/taxiway/scheduler`."""
    time: datetime
    """When it happened, UTC, by the producer's clock."""
    data: EventT
    tenantid: str | None = None
    """UUID of the tenant it is about; None for facts about the platform (nodes)."""
    actor: str | None = None
    """Who caused it: `user:…`, `key:…`, `producer:…` or `service:…`."""
    correlationid: str | None = None
    """Id of the request at the root of the chain."""
    causationid: str | None = None
    """Id of the event that directly caused this one."""
    sequence: int | None = None
    """Gap-free number per topic and key, from 1; None on records from outside."""
    traceparent: str | None = None
    """W3C Trace Context of the span that wrote it."""
    position: Position | None = field(default=None, compare=False)
    """Where it was read; None on an event that has not been through Kafka."""

    @property
    def type(self) -> str:
        """The CloudEvents type of the data."""
        return self.data.type

    @property
    def key(self) -> str:
        """The record key, which is also the `partitionkey` attribute."""
        return self.data.key


@dataclass(frozen=True, slots=True)
class Attributes:
    """The CloudEvents attributes of a record, read but not yet trusted."""

    id: str
    source: str
    type: str
    time: datetime
    tenantid: str | None
    actor: str | None
    correlationid: str | None
    causationid: str | None
    traceparent: str | None
    sequence: int | None


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, such as `2026-03-01T12:00:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def encode(event: Event[EventT]) -> tuple[bytes, Headers]:
    """The record value and headers of `event`."""
    value = event.data.model_dump_json(exclude_none=True).encode()
    return value, encode_headers(event)


def encode_headers(event: Event[EventT]) -> Headers:
    """The `ce_*` headers of `event`, absent attributes left out."""
    attributes: dict[str, str | None] = {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": format_time(event.time),
        "partitionkey": event.key,
        "tenantid": event.tenantid,
        "actor": event.actor,
        "correlationid": event.correlationid,
        "causationid": event.causationid,
        "sequence": None if event.sequence is None else f"{event.sequence:020d}",
        "traceparent": event.traceparent,
    }
    headers: Headers = [(CONTENT_TYPE, JSON)]
    headers += [(f"ce_{name}", value.encode()) for name, value in attributes.items() if value is not None]
    return headers


def header_text(headers: Sequence[tuple[str, bytes | None]] | None, name: str) -> str | None:
    """The last value of header `name` as text; None when absent; raises `EnvelopeError` when it is not UTF-8."""
    found = None
    for key, value in headers or ():
        if key == name and value is not None:
            found = value
    try:
        return None if found is None else found.decode("utf-8")
    except UnicodeDecodeError:
        raise EnvelopeError(f"header {name} is not UTF-8", name) from None


def read_attributes(headers: Sequence[tuple[str, bytes | None]] | None, *, lenient: bool = False) -> Attributes:
    """The CloudEvents attributes of a record; raises `EnvelopeError` naming the missing or malformed header.

    `lenient` mends text that would be refused from outside, as readers of `*.events` must.
    """
    found = _attribute_texts(headers)
    _check_text(found, lenient)
    required = {name: _require(name, found[name]) for name in REQUIRED}
    if required["specversion"] != SPEC_VERSION:
        raise EnvelopeError(f"ce_specversion must be {SPEC_VERSION}", "ce_specversion")
    return Attributes(
        id=required["id"],
        source=required["source"],
        type=required["type"],
        time=_parse_time(required["time"]),
        tenantid=found["tenantid"],
        actor=found["actor"],
        correlationid=found["correlationid"],
        causationid=found["causationid"],
        traceparent=found["traceparent"],
        sequence=_parse_sequence(found["sequence"]),
    )


def _attribute_texts(headers: Sequence[tuple[str, bytes | None]] | None) -> dict[str, str | None]:
    """The last value of each attribute's header as text, None where there is none: `header_text` of all in one pass."""
    last = {header: value for header, value in headers or () if value is not None}
    found: dict[str, str | None] = {}
    try:
        for name, header in _HEADER_OF.items():
            value = last.get(header)
            found[name] = None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        raise EnvelopeError(f"header {header} is not UTF-8", header) from None
    return found


def _check_text(found: dict[str, str | None], lenient: bool) -> None:
    """Raise `EnvelopeError` for text that is not taken from outside; mend it, in place, when `lenient`."""
    texts = {name: value for name, value in found.items() if value is not None}
    if max(map(len, texts.values()), default=0) <= MAX_EXTENSION and is_printable("".join(texts.values())):
        return
    for name, value in texts.items():
        if lenient:
            found[name] = mended(value, len(value))
        elif len(value) > MAX_EXTENSION or not is_printable(value):
            message = f"ce_{name} must be up to {MAX_EXTENSION} characters without control characters"
            raise EnvelopeError(message, f"ce_{name}")


def _require(name: str, value: str | None) -> str:
    if not value:
        raise EnvelopeError(f"CloudEvents attribute ce_{name} is required", f"ce_{name}")
    if len(value) > MAX_REQUIRED:
        raise EnvelopeError(f"ce_{name} is longer than {MAX_REQUIRED} characters", f"ce_{name}")
    return value


def _parse_time(text: str) -> datetime:
    try:
        moment = _TIME.validate_python(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValidationError, OverflowError):  # the year 9999 with an offset to the west has no UTC
        pass
    raise EnvelopeError("ce_time must be an RFC 3339 time with its offset", "ce_time")


def _parse_sequence(text: str | None) -> int | None:
    if text is None:
        return None
    if _SEQUENCE.fullmatch(text) is None:
        raise EnvelopeError("ce_sequence must be a number of at most 20 digits that fits 64 bits", "ce_sequence")
    return int(text)


def parse_data(event_type: str, value: bytes | None, *, lenient: bool) -> EventData:
    """The data of a record as the model of `event_type`.

    `lenient` ignores unknown fields and mends text, as readers of `*.events` must. Raises `UnknownEventTypeError` or
    `SchemaError`.
    """
    model = model_for(event_type)
    leniency = {"extra": "ignore", "context": LENIENT} if lenient else {"extra": "forbid"}
    try:
        return model.model_validate_json(value or b"", **leniency)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        pointer = "/" + "/".join(str(part) for part in place_of(first))
        raise SchemaError(f"{pointer}: {first['msg']}", pointer) from None


def decode(
    headers: Sequence[tuple[str, bytes | None]] | None,
    value: bytes | None,
    *,
    lenient: bool = True,
    position: Position | None = None,
) -> Event[EventData]:
    """The event of a record; raises `EnvelopeError`, `UnknownEventTypeError` or `SchemaError`."""
    return event_of(read_attributes(headers, lenient=lenient), value, lenient=lenient, position=position)


def event_of(
    attributes: Attributes, value: bytes | None, *, lenient: bool = True, position: Position | None = None
) -> Event[EventData]:
    """The event of attributes that were read before; raises `UnknownEventTypeError` or `SchemaError`."""
    return Event(
        id=attributes.id,
        source=attributes.source,
        time=attributes.time,
        data=parse_data(attributes.type, value, lenient=lenient),
        tenantid=attributes.tenantid,
        actor=attributes.actor,
        correlationid=attributes.correlationid,
        causationid=attributes.causationid,
        sequence=attributes.sequence,
        traceparent=attributes.traceparent,
        position=position,
    )
