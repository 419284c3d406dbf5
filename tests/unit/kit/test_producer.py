"""A client that met a fatal error, or whose callbacks raise, does not take the bridge with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from services.kit.errors import TransientError
from services.kit.messaging import producer as module
from services.kit.messaging.producer import ProducerBridge

FATAL = KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "fenced", fatal=True)


class Client:
    """Delivers at the next poll; or is broken, silent, or raises from its callbacks, as told."""

    def __init__(self) -> None:
        self.is_broken = False
        self.is_silent = False
        self.raises = 0
        self.is_buried = threading.Event()
        self.waiting: list[Callable[[Any, Any], None]] = []

    def produce(self, topic: str, *_: Any, on_delivery: Callable[[Any, Any], None], **__: Any) -> None:
        if self.is_broken:
            raise KafkaException(FATAL)
        self.waiting.append(on_delivery)

    def poll(self, _: float) -> None:
        if self.raises:
            self.raises -= 1
            raise RuntimeError("a callback broke")
        while self.waiting and not self.is_silent:
            self.waiting.pop(0)(None, MESSAGE)

    def purge(self) -> None:
        self.is_buried.set()

    def flush(self, _: float) -> int:
        self.poll(0)
        return 0

    def close(self) -> None:
        """Nothing to close."""


MESSAGE = SimpleNamespace(topic=lambda: "t", latency=lambda: 0.001, partition=lambda: 0, offset=lambda: 7)


def bridge_of(*clients: Client) -> ProducerBridge:
    """A bridge that takes one client after the other."""
    left = list(clients)
    return ProducerBridge("nowhere:1", "test", delivery_timeout_seconds=0, make=lambda: cast(Producer, left.pop(0)))


async def test_after_a_fatal_error_the_next_message_goes_by_a_new_client() -> None:
    old, new = Client(), Client()
    bridge = bridge_of(old, new)
    old.is_broken = True
    with pytest.raises(TransientError, match="INVALID_PRODUCER_EPOCH"):
        await bridge.send("t", b"k", b"v", [])
    assert (await bridge.send("t", b"k", b"v", [])).offset == 7
    assert old.is_buried.wait(5)
    await bridge.close()


async def test_what_the_old_client_reports_late_says_nothing_about_the_new_one() -> None:
    # given two messages with a client that breaks, and reports the second when it is already replaced
    old, new = Client(), Client()
    bridge = bridge_of(old, new)
    old.is_silent = True
    late = asyncio.create_task(bridge.send("t", b"k", b"1", []))
    await asyncio.sleep(0)
    old.is_broken = True
    with pytest.raises(TransientError, match="INVALID_PRODUCER_EPOCH"):
        await bridge.send("t", b"k", b"2", [])
    assert (await bridge.send("t", b"k", b"3", [])).offset == 7
    # when the report comes
    old.waiting.pop()(FATAL, MESSAGE)
    with pytest.raises(TransientError, match="INVALID_PRODUCER_EPOCH"):
        await late
    # then the new one stays: there is no third
    assert (await bridge.send("t", b"k", b"4", [])).offset == 7
    await bridge.close()


async def test_callbacks_that_raise_do_not_end_the_polling() -> None:
    client = Client()
    client.raises = 3
    bridge = bridge_of(client)
    assert (await bridge.send("t", b"k", b"v", [])).offset == 7
    await bridge.close()


async def test_a_report_that_never_comes_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.05)
    client = Client()
    client.is_silent = True
    bridge = bridge_of(client)
    with pytest.raises(TransientError, match="no delivery report"):
        await bridge.send("t", b"k", b"v", [])
    client.is_silent = False
    assert (await bridge.send("t", b"k", b"v", [])).offset == 7
    await bridge.close()
