"""One trace leads a person from a request over the outbox and Kafka into the handler."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from loguru import logger
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from schemas.envelope import Event, header_text
from schemas.placement import ReleaseCapacity
from services.kit.clock import SystemClock
from services.kit.messaging.consumer import ConsumerLoop, consumer_settings
from services.kit.messaging.dead_letters import DeadLetters
from services.kit.messaging.dispatch import Dispatcher
from services.kit.messaging.origin import Origin
from services.kit.messaging.producer import ProducerBridge
from services.kit.observability import logging as kit_logging
from services.kit.observability import tracing
from services.kit.persistence.database import Database
from services.kit.persistence.relay import Relay
from services.kit.persistence.unit_of_work import UnitOfWork
from services.kit.service import Component
from tests.integration.kit.harness import Probe, read_all


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What was traced, by a provider of this test's own."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


async def say_in_a_request_and_handle(probe: Probe) -> tuple[str, kit_logging.Fields]:
    """Emit under a request's span, relay, handle; returns the request's traceparent and what the handler logged."""

    class Said(ReleaseCapacity):
        pass

    Said.topic = probe.answered
    said = Said(reservation_id=uuid4(), deployment_id=uuid4(), reason="over")
    database, producer = Database(probe.dsn, "/test/trace"), ProducerBridge(probe.bootstrap, "trace")
    handled, stopping = asyncio.Event(), asyncio.Event()
    lines: list[kit_logging.Fields] = []

    async def handle(event: Event[ReleaseCapacity], work: UnitOfWork) -> None:
        logger.info("in the handler")
        work.after_commit(handled.set)

    dispatcher = Dispatcher(
        database, probe.run, {ReleaseCapacity: handle}, DeadLetters(producer, probe.run, SystemClock()), SystemClock()
    )
    settings = consumer_settings(probe.bootstrap, probe.run, "0", 6)
    parts: list[Component] = [Relay(database, producer), ConsumerLoop(settings, [probe.answered], dispatcher.process)]
    sink = logger.add(lambda message: lines.append(kit_logging.fields_of(message.record, "test", "0")))
    running = [asyncio.create_task(part.run(stopping)) for part in parts]
    with tracing.serving("POST"):
        traceparent = tracing.current_traceparent()
        async with database.unit_of_work() as work:
            work.emit(said, Origin(None, "t", traceparent=traceparent))
    async with asyncio.timeout(30):
        await handled.wait()
    stopping.set()
    await asyncio.gather(*running)
    logger.remove(sink)
    await producer.close()
    await database.close()
    [line] = [line for line in lines if line["message"] == "in the handler"]
    assert line["deployment"] == str(said.deployment_id)
    assert traceparent is not None
    return traceparent, line


async def test_request_send_and_handler_are_one_trace(probe: Probe, exporter: InMemorySpanExporter) -> None:
    _, line = await say_in_a_request_and_handle(probe)
    spans: dict[str, ReadableSpan] = {span.name: span for span in exporter.get_finished_spans()}
    request = spans["POST"].get_span_context()
    assert request is not None
    assert line["trace_id"] == f"{request.trace_id:032x}"
    for name in (f"send {probe.answered}", f"process {probe.answered}"):
        span = spans[name]
        assert span.context is not None
        assert span.parent is not None
        assert (span.context.trace_id, span.parent.span_id) == (request.trace_id, request.span_id)
    assert [link.context.span_id for link in spans[f"process {probe.answered}"].links] == [request.span_id]


async def test_without_an_exporter_the_request_is_followed_by_its_identity(probe: Probe) -> None:
    traceparent, line = await say_in_a_request_and_handle(probe)
    [record] = read_all(probe.bootstrap, probe.answered)
    assert header_text(record.headers, "ce_traceparent") == traceparent
    assert line["trace_id"] == traceparent.split("-")[1]
