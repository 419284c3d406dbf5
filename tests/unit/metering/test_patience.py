"""While Kafka is away, the stream's client does not ask for it thousands of times a second."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]
from aiokafka.cluster import ClusterMetadata  # type: ignore[import-untyped]

from services.metering.adapters import patience


async def test_a_failed_update_of_metadata_takes_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """given a client that knows no broker; when it asks, and goes on asking; then each time takes the pause."""
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.02)
    patience.install()
    patience.install()
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:9")
    started = time.monotonic()

    answers = [await client._metadata_update(ClusterMetadata(), set()) for _ in range(5)]

    assert answers == [False] * 5
    assert 0.1 <= time.monotonic() - started < 5
    await asyncio.wait_for(client.close(), 5)
