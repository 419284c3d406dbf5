"""One id leads from a REST call over Kafka into the logs of the services, with nothing that collects traces."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from infra.local.workers import WorkerId
from schemas.base import EventData
from schemas.deployment import DeploymentRequested
from schemas.envelope import Event
from schemas.placement import CapacityReserved
from tests.e2e.whole import Whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

WARM_SECONDS = 1.0


def trace_of(event: Event[EventData]) -> str:
    """Its trace id."""
    assert event.traceparent is not None, f"{event.type} {event.id} is in no trace"
    return event.traceparent.split("-")[1]


def lines_of(whole: Whole, service: str, trace_id: str) -> list[dict[str, Any]]:
    """What the service logged in that trace."""
    lines = [json.loads(line) for line in whole.log_of(WorkerId(service)).splitlines()]
    return [line for line in lines if line.get("trace_id") == trace_id]


@pytest.mark.parametrize("way", ["rest", "kafka"])
async def test_a_request_is_followed_through_kafka_and_the_logs_by_its_trace_id(whole: Whole, way: str) -> None:
    async with whole.load.flowing() as load:
        await asyncio.sleep(WARM_SECONDS)
    name = [name for name, sent in load.sent.deployments.items() if sent == way][-1]
    events = [event for event, _ in (await whole.settle()).events]
    [requested] = [
        event for event in events if isinstance(event.data, DeploymentRequested) and event.data.spec.name == name
    ]
    [reserved] = [event for event in events if isinstance(event.data, CapacityReserved) and event.key == requested.key]
    trace_id = trace_of(requested)
    assert trace_of(reserved) == trace_id
    for service, words in (("ingest_api", "passed admission"), ("scheduler", "placed reservation")):
        [line] = lines_of(whole, service, trace_id)
        assert words in line["message"]
        assert (line["deployment"], line["tenant"]) == (requested.key, load.tenant.tenant_id)
