"""OpenTelemetry: one trace that a person can follow over REST, outbox, Kafka and handler.

The messaging conventions: span `{operation} {destination}`; a consumer's span is a new trace with a link to the
producer's, because hours may lie between. Here handlers run within milliseconds of the request, and a person wants one
picture: so the handler's span is a child of the producer's as well as linked to it, unless the record was old when it
arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemas.envelope import Event

_PROPAGATOR = TraceContextTextMapPropagator()
FRESH_SECONDS = 300.0
"""A record older than this is linked only: its trace has long been closed."""


def configure(service: str, instance: str, otlp_endpoint: str | None) -> None:
    """Export spans to `otlp_endpoint`; without one nothing is recorded and tracing costs next to nothing."""
    if otlp_endpoint is None:
        return
    resource = Resource.create({"service.name": f"taxiway-{service}", "service.instance.id": instance})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint)))
    trace.set_tracer_provider(provider)


def tracer() -> trace.Tracer:
    """The project's tracer."""
    return trace.get_tracer("taxiway")


def current_traceparent() -> str | None:
    """The W3C Trace Context of the current span; None outside of a recorded one."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def handling(event: Event[Any], group: str, *, age_seconds: float = 0.0) -> Iterator[Span]:
    """The consumer span around one handler."""
    topic = event.position.topic if event.position else event.data.topic
    context = _PROPAGATOR.extract({"traceparent": event.traceparent}) if event.traceparent else None
    producer = trace.get_current_span(context).get_span_context() if context else None
    with tracer().start_as_current_span(
        f"process {topic}",
        context=context if age_seconds < FRESH_SECONDS else None,
        kind=SpanKind.CONSUMER,
        links=[Link(producer)] if producer is not None and producer.is_valid else [],
        attributes=_attributes(event, topic, group),
    ) as span:
        yield span


def _attributes(event: Event[Any], topic: str, group: str) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": topic,
        "messaging.consumer.group.name": group,
        "messaging.message.id": event.id,
        "messaging.kafka.message.key": event.key,
        "taxiway.event.type": event.type,
    }
    if event.position is not None:
        attributes["messaging.destination.partition.id"] = str(event.position.partition)
        attributes["messaging.kafka.offset"] = event.position.offset
    if event.correlationid:
        attributes["taxiway.correlation_id"] = event.correlationid
    if event.tenantid:
        attributes["taxiway.tenant_id"] = event.tenantid
    return attributes
