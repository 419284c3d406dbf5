"""What is done about the stream library's ways: fetching before it has sought, and acknowledging what it skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from faust.types import TP

from schemas.topics import USAGE_SAMPLES
from services.metering.adapters.stream import StreamSettings, UsageStream

PLACE = TP(USAGE_SAMPLES.name, 3)


@dataclass(eq=False)
class Message:
    """As much of the library's message as is asked for."""

    tp: TP
    topic: str
    offset: int
    tracked: bool
    acked: bool = False


@pytest.fixture
def app() -> Any:
    """The library's application, as the stream builds it; nothing is started."""
    return UsageStream(StreamSettings("127.0.0.1:9", "unit"))._app


async def test_nothing_is_fetched_between_the_rebuilt_table_and_the_seek(app: Any) -> None:
    """when the library says that a table is rebuilt, which it does before it lets the partitions be fetched; then the
    flow is stopped, until the library resumes it after the seek."""
    consumer = app.consumer
    consumer.resume_flow()

    await app.on_rebalance_complete.send()

    assert not consumer.flow_active
    consumer.resume_flow()
    assert consumer.flow_active


async def test_a_message_that_was_skipped_is_not_acknowledged(app: Any) -> None:
    """given two messages, of which a stream has tracked the second; when both are acknowledged; then one counts."""
    app.topics.acks_enabled_for = lambda _: True
    consumer = app.consumer
    consumer._unacked_messages = set()
    skipped, handled = (Message(tp=PLACE, topic=PLACE.topic, offset=offset, tracked=offset == 8) for offset in (7, 8))

    assert [consumer.ack(skipped), consumer.ack(handled)] == [False, True]
    assert consumer._acked[PLACE] == [8]
