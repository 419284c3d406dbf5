"""A request can be followed: one trace while it is fresh, and a link and a correlation id for what comes later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes as conventions
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from schemas.base import EventData
from schemas.envelope import Event, Position
from services.kit.observability import tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Happened(EventData):
    """Something to trace; it names no type, so that it is in no registry."""

    topic: ClassVar[str] = "taxiway.test.events.v1"
    name: str = "a"

    @property
    def key(self) -> str:
        """Its name."""
        return self.name


Happened.type = "taxiway.test.happened.v1"


class Spans:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def named(self, name: str) -> ReadableSpan:
        """The one span of that name."""
        [found] = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return found


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Spans are recorded, in a provider of this test's own: the process's can be set once only."""
    recorded = Spans()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(recorded.exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    yield recorded
    provider.shutdown()


def happened(traceparent: str | None, age: timedelta = timedelta(0), **attributes: Any) -> Event[Happened]:
    """An event that was read from the log, appended so long ago."""
    now = datetime.now(UTC)
    place = Position("taxiway.test.events.v1", 3, 17, now - age)
    return Event("e1", "/test", now, Happened(), traceparent=traceparent, position=place, **attributes)


def trace_context(span: ReadableSpan) -> SpanContext:
    """Which span it is."""
    context = span.get_span_context()
    assert context is not None
    return context


def trace_of(span: ReadableSpan) -> int:
    """Its trace id."""
    return trace_context(span).trace_id


def id_of(span: ReadableSpan) -> int:
    """Its span id."""
    return trace_context(span).span_id


def parent_of(span: ReadableSpan) -> int | None:
    """The span id of its parent."""
    return span.parent.span_id if span.parent else None


def test_a_request_is_one_trace_from_rest_over_the_outbox_to_the_handler(spans: Spans) -> None:
    # given a request whose transaction wrote an outbox row
    with tracing.serving("POST", PARENT):
        row = tracing.current_traceparent()
    # when the relay sends it, later and elsewhere, and a handler gets it
    with tracing.sending("taxiway.test.events.v1", "a", row):
        pass
    with tracing.handling(happened(row, correlationid="r1"), "group"):
        pass
    # then all of it is one trace under the caller's span, and the handler's span links to the writer's
    request = spans.named("POST")
    send, process = spans.named("send taxiway.test.events.v1"), spans.named("process taxiway.test.events.v1")
    assert {trace_of(span) for span in (request, send, process)} == {0x0AF7651916CD43DD8448EB211C80319C}
    assert parent_of(request) == 0xB7AD6B7169203331
    assert parent_of(send) == parent_of(process) == id_of(request)
    assert [link.context.span_id for link in process.links] == [id_of(request)]
    assert (request.kind, send.kind, process.kind) == (SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER)


def test_what_a_handler_causes_hangs_under_its_span(spans: Spans) -> None:
    with tracing.handling(happened(PARENT), "first"):
        row = tracing.current_traceparent()
    with tracing.handling(happened(row), "second"):
        pass
    first, second = spans.exporter.get_finished_spans()
    assert parent_of(second) == id_of(first)


def test_a_message_that_is_old_gets_a_trace_of_its_own_with_a_link_back(spans: Spans) -> None:
    with tracing.handling(happened(PARENT, timedelta(hours=2), correlationid="r1"), "group"):
        pass
    span = spans.named("process taxiway.test.events.v1")
    assert span.parent is None
    assert trace_of(span) != 0x0AF7651916CD43DD8448EB211C80319C
    assert [link.context.trace_id for link in span.links] == [0x0AF7651916CD43DD8448EB211C80319C]
    assert (span.attributes or {})["taxiway.correlation_id"] == "r1"


@pytest.mark.parametrize("traceparent", [None, "", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_without_a_usable_traceparent_a_trace_begins(traceparent: str | None, spans: Spans) -> None:
    with tracing.serving("GET"), tracing.handling(happened(traceparent), "group"):
        pass
    span = spans.named("process taxiway.test.events.v1")
    assert span.parent is None
    assert not span.links


def test_spans_carry_the_messaging_attributes(spans: Spans) -> None:
    with tracing.handling(happened(None, tenantid="t1"), "group"):
        pass
    assert dict(spans.named("process taxiway.test.events.v1").attributes or {}) == {
        conventions.MESSAGING_SYSTEM: conventions.MessagingSystemValues.KAFKA.value,
        conventions.MESSAGING_OPERATION_TYPE: conventions.MessagingOperationTypeValues.PROCESS.value,
        conventions.MESSAGING_OPERATION_NAME: "process",
        conventions.MESSAGING_DESTINATION_NAME: "taxiway.test.events.v1",
        conventions.MESSAGING_DESTINATION_PARTITION_ID: "3",
        conventions.MESSAGING_CONSUMER_GROUP_NAME: "group",
        conventions.MESSAGING_MESSAGE_ID: "e1",
        conventions.MESSAGING_KAFKA_MESSAGE_KEY: "a",
        conventions.MESSAGING_KAFKA_OFFSET: 17,
        "taxiway.event.type": "taxiway.test.happened.v1",
        "taxiway.correlation_id": "e1",
        "taxiway.tenant_id": "t1",
    }


def test_an_error_is_told_without_its_secrets(spans: Spans) -> None:
    with pytest.raises(ConnectionError), tracing.handling(happened(None), "group"):
        raise ConnectionError("cannot reach redis://:hunter2@localhost")
    span = spans.named("process taxiway.test.events.v1")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "cannot reach redis://:[redacted]@localhost"
    assert (span.attributes or {})["error.type"] == "ConnectionError"
    assert "hunter2" not in span.to_json()


def test_without_an_exporter_a_callers_trace_is_passed_on_all_the_same() -> None:
    tracing.configure("tester", "0", None)
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)
    assert tracing.current_traceparent() is None
    with tracing.serving("POST", PARENT):
        assert tracing.current_traceparent() == PARENT


def test_without_an_exporter_a_trace_begins_with_each_request_all_the_same() -> None:
    """There is something to follow in rows, headers and logs; no span is recorded for it."""
    with tracing.serving("POST") as span:
        row = tracing.current_traceparent()
        assert not span.is_recording()
    assert row is not None
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", row)
    with tracing.handling(happened(row), "group"):
        assert tracing.current_traceparent() == row
    with tracing.serving("POST"):
        assert tracing.current_traceparent() != row
    assert tracing.current_traceparent() is None


def test_without_an_exporter_a_handler_stays_in_the_trace_however_late_it_is() -> None:
    with tracing.handling(happened(PARENT, timedelta(hours=2)), "group"):
        assert tracing.current_traceparent() == PARENT


@pytest.mark.parametrize("traceparent", [None, "nonsense"])
def test_without_an_exporter_a_trace_begins_with_what_has_none(traceparent: str | None) -> None:
    with tracing.handling(happened(traceparent), "first"):
        row = tracing.current_traceparent()
    assert row is not None


def test_what_is_done_later_can_go_on_in_the_trace() -> None:
    with tracing.following(PARENT):
        assert tracing.current_traceparent() == PARENT
    with tracing.following(None):
        assert tracing.current_traceparent() is None


def test_a_bare_endpoint_gets_the_path_for_traces() -> None:
    assert tracing.traces_url("http://collector:4318") == "http://collector:4318/v1/traces"
    assert tracing.traces_url("http://collector:4318/") == "http://collector:4318/v1/traces"
    assert tracing.traces_url("https://h/otlp/v1/traces") == "https://h/otlp/v1/traces"
