"""The producer bridge against a real broker, against none, and with what can never be sent."""

from __future__ import annotations

import asyncio

import pytest

from services.kit.errors import PermanentError, TransientError
from services.kit.messaging.murmur import partition_of
from services.kit.messaging.producer import ProducerBridge
from tests.integration.kit.harness import PARTITIONS, Probe, read_all

NOWHERE = "127.0.0.1:1"


async def test_every_message_is_delivered_in_order_to_the_partition_of_its_key(probe: Probe) -> None:
    producer = ProducerBridge(probe.bootstrap, "test", max_in_flight=50)
    keys = [f"key-{number % 20}".encode() for number in range(400)]
    reports = await asyncio.gather(
        *(producer.send(probe.asked, key, str(number).encode(), []) for number, key in enumerate(keys))
    )
    await producer.close()
    assert [report.partition for report in reports] == [partition_of(key, PARTITIONS) for key in keys]
    by_key: dict[bytes, list[int]] = {}
    for record in read_all(probe.bootstrap, probe.asked):
        by_key.setdefault(record.key or b"", []).append(int(record.value or b"-1"))
    assert by_key == {key: list(range(number, 400, 20)) for number, key in enumerate(keys[:20])}


async def test_what_is_too_large_fails_at_once_and_the_next_goes_through(probe: Probe) -> None:
    producer = ProducerBridge(probe.bootstrap, "test")
    with pytest.raises(PermanentError, match="MSG_SIZE_TOO_LARGE"):
        await producer.send(probe.asked, b"k", b"x" * 2_000_000, [])
    assert (await producer.send(probe.asked, b"k", b"small", [])).offset == 0
    await producer.close()


async def test_without_a_broker_a_send_fails_in_time() -> None:
    producer = ProducerBridge(NOWHERE, "test", delivery_timeout_seconds=0.5)
    with pytest.raises(TransientError):
        await producer.send("topic", b"k", b"v", [])
    await producer.close(0.1)


async def test_closing_fails_what_could_not_be_delivered() -> None:
    producer = ProducerBridge(NOWHERE, "test", delivery_timeout_seconds=60)
    sending = asyncio.create_task(producer.send("topic", b"k", b"v", []))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await producer.close(0.1)
        with pytest.raises(TransientError, match="PURGE"):
            await sending
