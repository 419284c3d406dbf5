"""The consumer loop beside a bare loop: both read the same topic to its end, with the kit's settings and batch size."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.ground import Ground
from bench.pipeline.messages import messages
from bench.rounds import compare
from bench.stages import Measured, Stopwatch
from services.kit.checkpoints import Checkpoint
from services.kit.messaging.consumer import BATCH, ConsumerLoop, consumer_settings
from services.kit.messaging.producer import producer_settings
from services.kit.messaging.record import Record

AIM = 0.5
SESSION_SECONDS = 10
FILL = 10_000
"""Messages in memory at a time while the topic is filled."""
POLL_SECONDS = 0.1
READ = "poll, read, hand over"
COMMIT = "hand back, commit, observe"


async def measure(ground: Ground, *, count: int, rounds: int) -> Measured:
    """Messages per second from the first record that arrived to the commit of the last; joining the group is not in."""
    watches = Stopwatch(), Stopwatch()
    topic = ground.topic("consumed")
    await asyncio.to_thread(fill, ground.bootstrap, topic, count)

    async def kit() -> float:
        return await by_loop(_settings(ground), topic, count, watches[0])

    async def bare() -> float:
        return await asyncio.to_thread(by_hand, _settings(ground), topic, count, watches[1])

    comparison = await compare(kit, bare, rounds=rounds, aim=AIM)
    return Measured(comparison, *(watch.per_message(count * (rounds + 1)) for watch in watches))


def _settings(ground: Ground) -> dict[str, Any]:
    """Of a group that has not read anything."""
    return consumer_settings(ground.bootstrap, f"bench-{uuid4()}", "0", SESSION_SECONDS)


def fill(bootstrap: str, topic: str, count: int) -> None:
    """Append `count` messages."""
    producer = Producer(producer_settings(bootstrap, "bench", 30))
    for first in range(0, count, FILL):
        for message in messages(min(FILL, count - first)):
            producer.produce(topic, message.value, message.key, headers=message.headers)  # type: ignore[arg-type]
        assert producer.flush(30) == 0


class _Counting:
    """A process that does nothing but count, and stops the clock at the commit of the last record.

    Process and commit follow each other, though in two threads, so one stopwatch sees both.
    """

    def __init__(self, count: int, watch: Stopwatch) -> None:
        self.stopping = asyncio.Event()
        self.started = self.ended = 0.0
        self._loop = asyncio.get_running_loop()
        self._left = count
        self._watch = watch

    async def process(self, records: Sequence[Record]) -> None:
        """The no-op."""
        if not self.started:
            self.started = time.perf_counter()
            self._watch.restart()
        self._watch.mark(READ)
        self._left -= len(records)

    def reached(self, checkpoint: Checkpoint) -> None:
        """Called in the polling thread after each commit."""
        if checkpoint is not Checkpoint.AFTER_OFFSET:
            return
        self._watch.mark(COMMIT)
        if self._left <= 0:
            self.ended = time.perf_counter()
            self._loop.call_soon_threadsafe(self.stopping.set)


async def by_loop(settings: dict[str, Any], topic: str, count: int, watch: Stopwatch) -> float:
    """Through `ConsumerLoop`."""
    counting = _Counting(count, watch)
    loop = ConsumerLoop(settings, [topic], counting.process, reached=counting.reached)
    await loop.run(counting.stopping)
    return count / (counting.ended - counting.started)


def by_hand(settings: dict[str, Any], topic: str, count: int, watch: Stopwatch) -> float:
    """Consume, look at each message's error, value and headers, commit, until all were read."""
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    started = 0.0
    left = count
    while left > 0:
        batch = consumer.consume(BATCH, POLL_SECONDS)
        if not batch:
            continue
        if not started:
            started = time.perf_counter()
            watch.restart()
        latest: dict[int, int] = {}
        for message in batch:
            assert message.error() is None
            message.value()
            message.headers()
            latest[message.partition()] = message.offset()  # type: ignore[index,assignment]
        left -= len(batch)
        watch.mark(READ)
        places = [TopicPartition(topic, partition, offset + 1) for partition, offset in latest.items()]
        consumer.commit(offsets=places, asynchronous=True)
        watch.mark(COMMIT)
    seconds = time.perf_counter() - started
    consumer.close()
    return count / seconds
