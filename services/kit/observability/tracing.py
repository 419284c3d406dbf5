"""OpenTelemetry: one trace that a person can follow over REST, outbox, Kafka and handler.

The messaging conventions want span `{operation} {destination}`, and a consumer's span in a trace of its own that is
linked to the producer's, because hours may lie between. Here most handlers run within milliseconds of the request, and
a person wants one picture. So a consumer's span always links to the span that wrote the message, and while the message
is fresh it is that span's child too. What came later has a trace of its own: the link leads back, and all spans of one
request carry its `taxiway.correlation_id`.

Without an exporter no span is made, and there is a trace all the same: an identity in the rows, the headers and the log
lines of everything that one request caused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemas.envelope import Event
from services.kit.observability.redaction import redact

_PROPAGATOR = TraceContextTextMapPropagator()
_IDS = RandomIdGenerator()
_USUAL = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""What all that write version 00 write; anything else the propagator judges."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
"""Of a trace that was begun without an exporter: a process that has one must not leave its part out."""
FRESH_SECONDS = 300.0
"""A message older than this is linked only: its trace has long been closed."""
OTLP_PATH = "/v1/traces"
"""Where an OTLP/HTTP endpoint takes traces (OTLP specification 1.x)."""

Attributes = dict[str, str | int]


def configure(service: str, instance: str, otlp_endpoint: str | None) -> None:
    """Export spans to `otlp_endpoint`; without one traces have an identity and no spans, which costs next to nothing.

    What is not exported yet goes out when the process ends.
    """
    if otlp_endpoint is None:
        return
    resource = Resource.create({"service.name": f"taxiway-{service}", "service.instance.id": instance})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=traces_url(otlp_endpoint))))
    trace.set_tracer_provider(provider)


def traces_url(endpoint: str) -> str:
    """The address for traces; a bare `http://host:4318` gets the standard path."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + OTLP_PATH


def tracer() -> trace.Tracer:
    """The project's tracer."""
    return trace.get_tracer("taxiway")


def current_traceparent() -> str | None:
    """The W3C Trace Context of the current span, to be stored beside what it caused; None outside of a span."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


@contextmanager
def serving(method: str, traceparent: str | None = None) -> Iterator[Span]:
    """The server span around one REST request, as a child of the caller's `traceparent`.

    Its name is the method; which route it is, who routes must say (`span.update_name`).
    """
    attributes: Attributes = {"http.request.method": method}
    with _span(method, SpanKind.SERVER, _context(traceparent), None, attributes) as span:
        yield span


@contextmanager
def sending(topic: str, key: str, traceparent: str | None) -> Iterator[Span]:
    """The producer span around one send, as a child of the span that wrote the message into the outbox.

    The message keeps the writer's `traceparent`: relays resend, and a message has one origin. Without an exporter
    nothing is made current: whoever sends says nothing that would need a trace.
    """
    if not _is_exported():
        yield trace.INVALID_SPAN
        return
    attributes: Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": topic,
        "messaging.kafka.message.key": key,
    }
    with _span(f"send {topic}", SpanKind.PRODUCER, _context(traceparent), None, attributes) as span:
        yield span


@contextmanager
def handling(event: Event[Any], group: str, *, age_seconds: float | None = None) -> Iterator[Span]:
    """The consumer span around one handler; the message is as old as its log-append time says, or `age_seconds`."""
    writer = _context(event.traceparent)
    if not _is_exported():
        with _current(_identified(writer)) as span:
            yield span
        return
    topic = event.position.topic if event.position else event.data.topic
    age = _age_of(event) if age_seconds is None else age_seconds
    parent = writer if age < FRESH_SECONDS else Context()
    with _span(f"process {topic}", SpanKind.CONSUMER, parent, writer, _attributes(event, topic, group)) as span:
        yield span


@contextmanager
def following(traceparent: str | None) -> Iterator[Span]:
    """Around what is done later because of the span that left `traceparent`: what is logged names its trace."""
    with _current(_context(traceparent)) as span:
        yield span


@contextmanager
def _span(
    name: str, kind: SpanKind, parent: Context, linked: Context | None, attributes: Mapping[str, str | int]
) -> Iterator[Span]:
    """A span that is current in the block and ends with it. Of an error it tells the kind and the redacted text."""
    if not _is_exported():
        with _current(_identified(linked or parent)) as span:
            yield span
        return
    to = trace.get_current_span(linked).get_span_context() if linked is not None else trace.INVALID_SPAN_CONTEXT
    with tracer().start_as_current_span(
        name,
        context=parent,
        kind=kind,
        links=[Link(to)] if to.is_valid else [],
        attributes=attributes,
        record_exception=False,  # it would export the text as it is
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, redact(str(error))))
            raise


def _is_exported() -> bool:
    return not isinstance(tracer(), trace.ProxyTracer)


@contextmanager
def _current(context: Context) -> Iterator[Span]:
    """The span of `context`, which another process made, is current in the block.

    What a span of ours costs beyond that is a tenth of a handler's time.
    """
    token = attach(context)
    try:
        yield trace.get_current_span()
    finally:
        detach(token)


@lru_cache(maxsize=10_000)
def _context(traceparent: str | None) -> Context:
    """The context of a `traceparent`; an empty one when there is none or it is malformed.

    Contexts never change; one message's is asked for when it is handled, when it is decided on, and when that is sent.
    """
    if not traceparent:
        return Context()
    usual = _USUAL.fullmatch(traceparent)
    if usual is None:
        return _PROPAGATOR.extract({"traceparent": traceparent}, context=Context())
    writer = SpanContext(
        int(usual[1], 16), int(usual[2], 16), is_remote=True, trace_flags=TraceFlags(int(usual[3], 16))
    )
    return trace.set_span_in_context(NonRecordingSpan(writer), Context()) if writer.is_valid else Context()


def _identified(context: Context) -> Context:
    """`context`; one with a fresh trace when it has none."""
    if trace.get_current_span(context).get_span_context().is_valid:
        return context
    begun = SpanContext(_IDS.generate_trace_id(), _IDS.generate_span_id(), is_remote=True, trace_flags=_SAMPLED)
    return trace.set_span_in_context(NonRecordingSpan(begun), Context())


def _age_of(event: Event[Any]) -> float:
    return (datetime.now(UTC) - event.position.appended_at).total_seconds() if event.position else 0.0


def _attributes(event: Event[Any], topic: str, group: str) -> Attributes:
    attributes: Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": topic,
        "messaging.consumer.group.name": group,
        "messaging.message.id": event.id,
        "messaging.kafka.message.key": event.key,
        "taxiway.event.type": event.type,
        "taxiway.correlation_id": event.correlationid or event.id,
    }
    if event.position is not None:
        attributes["messaging.destination.partition.id"] = str(event.position.partition)
        attributes["messaging.kafka.offset"] = event.position.offset
    if event.tenantid:
        attributes["taxiway.tenant_id"] = event.tenantid
    return attributes
