"""Awaited sends beside a bare producer: both with the kit's settings and the same bound on what is in flight."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from confluent_kafka import Producer

from bench.cpu import cpu_by_thread, used_since
from bench.ground import Ground
from bench.pipeline.messages import Message, messages
from bench.rounds import compare
from bench.stages import Measured
from services.kit.messaging.producer import ProducerBridge, producer_settings

AIM = 0.25


async def measure(ground: Ground, *, count: int, in_flight: int, rounds: int) -> Measured:
    """Messages per second from the first send to the last delivery report; where: processor time by thread."""
    topic, batch = ground.topic("produced"), messages(count)
    used: tuple[Counter[str], Counter[str]] = (Counter(), Counter())

    async def kit() -> float:
        return await by_bridge(ground.bootstrap, topic, batch, in_flight, used[0])

    async def bare() -> float:
        return by_hand(ground.bootstrap, topic, batch, in_flight, used[1])

    comparison = await compare(kit, bare, rounds=rounds, aim=AIM)
    sent = count * (rounds + 1)
    return Measured(comparison, *({name: cpu / sent * 1e6 for name, cpu in each.items()} for each in used))


async def by_bridge(bootstrap: str, topic: str, batch: Sequence[Message], in_flight: int, used: Counter[str]) -> float:
    """`in_flight` tasks, each of which awaits one send after the other."""
    bridge = ProducerBridge(bootstrap, "bench")
    await bridge.send(topic, batch[0].key, batch[0].value, batch[0].headers)  # connected from here on
    rest = iter(batch)

    async def send_some(rest: Iterator[Message]) -> None:
        for message in rest:
            await bridge.send(topic, message.key, message.value, message.headers)

    before, started = cpu_by_thread(), time.perf_counter()
    await asyncio.gather(*(send_some(rest) for _ in range(in_flight)))
    seconds = time.perf_counter() - started
    used.update(used_since(before, cpu_by_thread()))
    await bridge.close()
    return len(batch) / seconds


def by_hand(bootstrap: str, topic: str, batch: Sequence[Message], in_flight: int, used: Counter[str]) -> float:
    """A loop that produces, counts delivery reports, and polls when `in_flight` are under way."""
    producer = Producer(producer_settings(bootstrap, "bench", 10))
    reported = 0

    def on_delivery(error: Any, _: Any) -> None:
        nonlocal reported
        assert error is None
        reported += 1

    producer.produce(topic, batch[0].value, batch[0].key, headers=batch[0].headers, on_delivery=on_delivery)  # type: ignore[arg-type]
    producer.flush(10)
    reported = 0
    before, started = cpu_by_thread(), time.perf_counter()
    for number, message in enumerate(batch):
        producer.produce(topic, message.value, message.key, headers=message.headers, on_delivery=on_delivery)  # type: ignore[arg-type]
        producer.poll(0)
        while number - reported >= in_flight:
            producer.poll(0.1)
    while reported < len(batch):
        producer.poll(0.1)
    seconds = time.perf_counter() - started
    used.update(used_since(before, cpu_by_thread()))
    return len(batch) / seconds
