"""One trace leads a person from a request over the outbox and Kafka into the handler."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from schemas.envelope import Event
from services.kit.clock import SystemClock
from services.kit.messaging.consumer import ConsumerLoop, consumer_settings
from services.kit.messaging.dead_letters import DeadLetters
from services.kit.messaging.dispatch import Dispatcher
from services.kit.messaging.origin import Origin
from services.kit.messaging.producer import ProducerBridge
from services.kit.observability import tracing
from services.kit.persistence.database import Database
from services.kit.persistence.relay import Relay
from services.kit.persistence.unit_of_work import UnitOfWork
from services.kit.service import Component
from tests.integration.kit.harness import Probe
from tests.integration.kit.probe import Answered


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What was traced, by a provider of this test's own."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda: provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


async def test_request_send_and_handler_are_one_trace(probe: Probe, exporter: InMemorySpanExporter) -> None:
    class Said(Answered):
        pass

    Said.topic = probe.answered
    database, producer = Database(probe.dsn, "/test/trace"), ProducerBridge(probe.bootstrap, "trace")
    handled, stopping = asyncio.Event(), asyncio.Event()

    async def handle(event: Event[Answered], work: UnitOfWork) -> None:
        work.after_commit(handled.set)

    dispatcher = Dispatcher(
        database, probe.run, {Answered: handle}, DeadLetters(producer, probe.run, SystemClock()), SystemClock()
    )
    settings = consumer_settings(probe.bootstrap, probe.run, "0", 6)
    parts: list[Component] = [Relay(database, producer), ConsumerLoop(settings, [probe.answered], dispatcher.process)]
    running = [asyncio.create_task(part.run(stopping)) for part in parts]
    with tracing.serving("POST", "/deployments"):
        async with database.unit_of_work() as work:
            work.emit(Said(name="n", number=1), Origin(None, "t", traceparent=tracing.current_traceparent()))
    async with asyncio.timeout(30):
        await handled.wait()
    stopping.set()
    await asyncio.gather(*running)
    await producer.close()
    await database.close()

    spans: dict[str, ReadableSpan] = {span.name: span for span in exporter.get_finished_spans()}
    request = spans["POST /deployments"].get_span_context()
    assert request is not None
    for name in (f"send {probe.answered}", f"process {probe.answered}"):
        span = spans[name]
        assert span.context is not None
        assert span.parent is not None
        assert (span.context.trace_id, span.parent.span_id) == (request.trace_id, request.span_id)
    assert [link.context.span_id for link in spans[f"process {probe.answered}"].links] == [request.span_id]
