"""The consumer loop commits what is done and nothing else, whatever happens to the batch, the group or the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import KafkaError
from prometheus_client import REGISTRY

from services.kit.errors import TransientError
from services.kit.messaging import consumer
from services.kit.messaging.consumer import ConsumerLoop, consumer_settings
from services.kit.messaging.dead_letters import TripWireError
from services.kit.messaging.record import Record
from services.kit.observability.health import Heartbeat
from services.kit.resilience import Backoff
from tests.fakes.kit.kafka import InMemoryBroker

TOPIC, GROUP = "asked", "test.group"
SETTINGS = consumer_settings("nowhere:9", GROUP, "0", 10)
AT_ONCE = Backoff(uniform=lambda low, _: low)


class Handling:
    """What is done with batches; holds, fails and tells as a test wants."""

    def __init__(self, broker: InMemoryBroker) -> None:
        self._broker = broker
        self.batches: list[list[str]] = []
        """Values of every call."""
        self.done: list[str] = []
        """Values that had their effect."""
        self.failures: list[BaseException] = []
        """Raised by the next calls, one each."""
        self.gate = asyncio.Event()
        """Batches wait here."""
        self.gate.set()

    async def process(self, records: Sequence[Record]) -> None:
        """One batch."""
        values = [(record.value or b"").decode() for record in records]
        self.batches.append(values)
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self._broker.note(f"done {'+'.join(values)}")
        self.done += values


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes tenths of seconds takes hundredths."""
    monkeypatch.setattr(consumer, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(consumer, "PATIENCE_SECONDS", 0.03)
    monkeypatch.setattr(consumer, "REJOIN_SECONDS", 0.01)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> InMemoryBroker:
    """Two partitions of one topic."""
    made = InMemoryBroker([(TOPIC, 0), (TOPIC, 1)])
    monkeypatch.setattr(consumer, "Consumer", made.client)
    return made


@pytest.fixture
def handling(broker: InMemoryBroker) -> Handling:
    """Handling that goes well."""
    return Handling(broker)


@pytest.fixture
def heart() -> Iterator[Heartbeat]:
    """The loop's heartbeat."""
    made = Heartbeat("consumer under test")
    yield made
    made.end()


@pytest.fixture
def loop(handling: Handling, heart: Heartbeat) -> ConsumerLoop:
    """The loop, with batches of three."""
    return ConsumerLoop(SETTINGS, [TOPIC], handling.process, batch=3, backoff=AT_ONCE, heartbeat=heart)


async def eventually(is_so: Callable[[], bool]) -> None:
    """Let the polling thread run until it is so."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(loop: ConsumerLoop) -> AsyncIterator[asyncio.Event]:
    """The loop for the length of the block; it must end by itself when told."""
    stopping = asyncio.Event()
    task = asyncio.create_task(loop.run(stopping))
    try:
        yield stopping
        if task.done():
            task.result()
        assert stopping.is_set() or not task.done(), "it ended untold"
    finally:
        stopping.set()
        async with asyncio.timeout(5):
            await task


def metric(name: str, **labels: str) -> float:
    """A metric of the group; 0 before it was first set."""
    return REGISTRY.get_sample_value(name, {"group": GROUP, **labels}) or 0.0


async def test_an_offset_is_committed_after_its_effect_and_not_before(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.produce("a", "b")
    async with running(loop):
        await eventually(lambda: handling.batches == [["a", "b"]])
        await asyncio.sleep(0.01)
        assert broker.committed == {}
        handling.gate.set()
        await eventually(lambda: broker.committed == {(TOPIC, 0): 2})
    assert [event for event in broker.events if event[:4] in ("done", "comm")] == ["done a+b", "commit 0=2"]


async def test_batches_are_bounded_and_a_partitions_order_is_kept(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    broker.produce(*"abcdefgh")
    async with running(loop):
        await eventually(lambda: len(handling.done) == 8)
    assert "".join(handling.done) == "abcdefgh"
    assert [len(batch) for batch in handling.batches] == [3, 3, 2]


async def test_one_record_alone_is_not_held_up(loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling) -> None:
    async with running(loop):
        for value in "abc":
            broker.produce(value)
            await eventually(lambda value=value: handling.done[-1:] == [value])  # type: ignore[misc]
    assert handling.batches == [["a"], ["b"], ["c"]]


async def test_a_batch_over_several_partitions_commits_the_last_offset_of_each(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.produce("a0", "b0")
    broker.produce("a1", partition=1)
    handling.gate.set()
    async with running(loop):
        await eventually(lambda: len(handling.done) == 3)
    assert broker.committed == {(TOPIC, 0): 2, (TOPIC, 1): 1}


async def test_a_transient_failure_is_tried_again_with_the_same_batch(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    retries = metric("taxiway_consumer_retries_total")
    handling.failures = [TransientError("away"), TransientError("away")]
    broker.produce("a", "b")
    async with running(loop):
        await eventually(lambda: handling.done == ["a", "b"])
    assert handling.batches == [["a", "b"]] * 3
    assert broker.committed == {(TOPIC, 0): 2}
    assert metric("taxiway_consumer_retries_total") == retries + 2


async def test_the_wait_before_each_attempt_grows(broker: InMemoryBroker, handling: Handling, heart: Heartbeat) -> None:
    asked: list[float] = []

    def none_of_it(_: float, high: float) -> float:
        asked.append(high)
        return 0

    handling.failures = [TransientError("away") for _ in range(3)]
    broker.produce("a")
    backoff = Backoff(1, 5, uniform=none_of_it)
    async with running(ConsumerLoop(SETTINGS, [TOPIC], handling.process, backoff=backoff, heartbeat=heart)):
        await eventually(lambda: handling.done == ["a"])
    assert asked == [2, 4, 5]


async def test_a_slow_batch_pauses_the_partitions_and_goes_on_afterwards(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: "pause 0,1" in broker.events)
        assert metric("taxiway_consumer_paused") == 1
        broker.produce("b")
        await asyncio.sleep(0.02)
        assert handling.batches == [["a"]], "one batch at a time"
        handling.gate.set()
        await eventually(lambda: handling.done == ["a", "b"])
        assert metric("taxiway_consumer_paused") == 0
    assert broker.committed == {(TOPIC, 0): 2}


async def test_a_loop_with_a_slow_batch_is_alive(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling, heart: Heartbeat
) -> None:
    handling.gate.clear()
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: "pause 0,1" in broker.events)
        heart._last = float("-inf")
        await eventually(lambda: heart.complaint() is None)
        handling.gate.set()


async def test_a_record_that_slips_through_a_pause_is_handled_later_and_once(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: "pause 0,1" in broker.events)
        broker.produce("b", partition=1)
        broker.slip(partition=1, at=0)
        await eventually(lambda: broker.clients[0].told == [])
        handling.gate.set()
        await eventually(lambda: len(handling.done) == 2)
    assert handling.done == ["a", "b"]


async def test_partitions_that_come_during_a_slow_batch_give_nothing_before_its_end(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    async with running(loop):
        await eventually(lambda: broker.events == ["assign 0,1"])
        broker.take_away(1)
        handling.gate.clear()
        broker.produce("a")
        await eventually(lambda: handling.batches == [["a"]])
        broker.produce("b", partition=1)
        broker.give_back(1)
        await eventually(lambda: "assign 1" in broker.events)
        await asyncio.sleep(0.02)
        assert handling.batches == [["a"]]
        handling.gate.set()
        await eventually(lambda: handling.done == ["a", "b"])


async def test_told_to_stop_it_finishes_the_batch_commits_it_and_leaves(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.produce("a")
    async with running(loop) as stopping:
        await eventually(lambda: handling.batches == [["a"]])
        stopping.set()
        await asyncio.sleep(0.02)
        assert not broker.clients[0].is_closed
        handling.gate.set()
    steps = [event for event in broker.events if not event.startswith(("pause", "resume"))]
    assert steps == ["assign 0,1", "done a", "commit 0=1 and waits", "unassign 0,1", "close"]


async def test_a_batch_that_does_not_end_in_time_is_given_up_uncommitted_and_done_by_the_next_process(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling, heart: Heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "DRAIN_SECONDS", 0.02)
    handling.gate.clear()
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: handling.batches == [["a"]])
    assert broker.committed == {}
    assert handling.done == []
    handling.gate.set()
    async with running(ConsumerLoop(SETTINGS, [TOPIC], handling.process, heartbeat=heart)):
        await eventually(lambda: handling.done == ["a"])


async def test_a_partition_is_handed_over_only_when_what_is_in_flight_is_done_and_committed(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: "pause 0,1" in broker.events)
        broker.take_away(0)
        await asyncio.sleep(0.02)
        assert "unassign 0" not in broker.events
        handling.gate.set()
        await eventually(lambda: "unassign 0" in broker.events)
        handed_over = broker.events[: broker.events.index("unassign 0") + 1]
        assert handed_over[-3:] == ["done a", "commit 0=1 and waits", "unassign 0"]
        broker.produce("b", partition=1)
        await eventually(lambda: handling.done == ["a", "b"])
    assert broker.committed == {(TOPIC, 0): 1, (TOPIC, 1): 1}


async def test_a_handover_does_not_wait_for_ever_and_what_stays_ours_is_read_again(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "DRAIN_SECONDS", 0.02)
    handling.gate.clear()
    broker.produce("a0")
    broker.produce("a1", "b1", partition=1)
    async with running(loop):
        await eventually(lambda: "pause 0,1" in broker.events)
        assert handling.batches == [["a0", "a1", "b1"]]
        broker.take_away(0)
        await eventually(lambda: "unassign 0" in broker.events)
        assert broker.committed == {}
        handling.gate.set()
        await eventually(lambda: handling.done == ["a1", "b1"])
    assert broker.committed == {(TOPIC, 1): 2}, "the other is its new owner's to do"


async def test_a_batch_that_failed_is_not_committed_by_a_handover(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    handling.failures = [ZeroDivisionError("a bug")]
    broker.produce("a")
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - it comes out when the block ends
        async with running(loop):
            await eventually(lambda: "pause 0,1" in broker.events)
            broker.take_away(0)
            await eventually(lambda: broker.clients[0].told == [])
            handling.gate.set()
            await eventually(lambda: "unassign 0" in broker.events)
    assert broker.committed == {}


async def test_offsets_of_a_partition_that_was_lost_are_not_ours_to_commit(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.produce("a0")
    broker.produce("a1", partition=1)
    async with running(loop):
        await eventually(lambda: "pause 0,1" in broker.events)
        broker.lose(0)
        await eventually(lambda: "unassign 0" in broker.events)
        handling.gate.set()
        await eventually(lambda: broker.committed == {(TOPIC, 1): 1})
        assert handling.done == ["a0", "a1"], "what was in flight may finish"
        broker.give_back(0)
        await eventually(lambda: broker.committed == {(TOPIC, 0): 1, (TOPIC, 1): 1})
    assert handling.done == ["a0", "a1", "a0"], "ours again, it is read again: the inbox knows what was done"


async def test_a_commit_that_is_refused_does_not_stop_the_loop(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    broker.refuses_commits = True
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: handling.done == ["a"])
        broker.refuses_commits = False
        broker.produce("b")
        await eventually(lambda: broker.committed == {(TOPIC, 0): 2})
    assert len(broker.clients) == 1


@pytest.mark.parametrize("code", [KafkaError._FATAL, KafkaError.UNKNOWN_MEMBER_ID])
async def test_after_a_fatal_error_it_joins_anew_and_reads_on_from_what_is_committed(
    code: int, loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    rejoins = metric("taxiway_consumer_rejoins_total")
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: broker.committed == {(TOPIC, 0): 1})
        broker.trouble(KafkaError(code, "thrown out", True))
        await eventually(lambda: len(broker.clients) == 2)
        broker.produce("b")
        await eventually(lambda: handling.done == ["a", "b"])
        assert [client.is_closed for client in broker.clients] == [True, False]
    assert metric("taxiway_consumer_rejoins_total") == rejoins + 1


async def test_a_fatal_error_during_a_slow_batch_waits_for_it(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: "pause 0,1" in broker.events)
        broker.trouble(KafkaError(KafkaError._FATAL, "thrown out", True))
        await asyncio.sleep(0.02)
        assert len(broker.clients) == 1, "two clients would have two batches in flight"
        handling.gate.set()
        await eventually(lambda: len(broker.clients) == 2)
    assert handling.done == ["a"]


async def test_a_client_that_dies_with_a_batch_in_flight_is_not_replaced_before_its_end(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.gate.clear()
    broker.breaks_at_pause = True
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: not broker.breaks_at_pause)
        await asyncio.sleep(0.03)
        assert len(broker.clients) == 1, "two clients would have two batches in flight"
        handling.gate.set()
        await eventually(lambda: len(handling.batches) == 2)
    assert handling.batches == [["a"], ["a"]], "it was not committed, so it comes again: the inbox knows it"


async def test_an_error_that_passes_is_only_told(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    async with running(loop):
        await eventually(lambda: broker.events == ["assign 0,1"])
        broker.trouble(KafkaError(KafkaError._TRANSPORT, "gone"))
        broker.produce("a")
        await eventually(lambda: handling.done == ["a"])
    assert len(broker.clients) == 1


async def test_the_trip_wire_stops_the_loop_and_not_the_process_and_says_so(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling, heart: Heartbeat
) -> None:
    handling.failures = [TripWireError("half of it is invalid")]
    broker.produce("a")
    async with running(loop):
        await eventually(lambda: metric("taxiway_consumer_tripped") == 1)
        assert (heart.stopped, heart.complaint()) == ("consumer under test: half of it is invalid", None)
        broker.produce("b")
        await asyncio.sleep(0.02)
        assert handling.batches == [["a"]]
        assert broker.clients[0].is_closed
    assert broker.committed == {}, "a person looks at it first"


async def test_an_unforeseen_failure_ends_the_process_uncommitted(
    loop: ConsumerLoop, broker: InMemoryBroker, handling: Handling
) -> None:
    handling.failures = [ZeroDivisionError("a bug")]
    broker.produce("a")
    with pytest.raises(ZeroDivisionError):
        async with running(loop):
            await eventually(lambda: bool(broker.clients) and broker.clients[0].is_closed)
    assert broker.committed == {}
    assert broker.clients[0].is_closed


def test_settings_keep_the_promises_of_the_loop() -> None:
    settings = consumer_settings("k:9", "group", "7", 6)
    assert settings["enable.auto.commit"] is False
    assert settings["enable.auto.offset.store"] is False
    assert settings["group.instance.id"] == "group-7", "a quick restart moves no partition"
    assert settings["auto.offset.reset"] == "earliest"
    assert settings["partition.assignment.strategy"] == "cooperative-sticky"
    assert (settings["session.timeout.ms"], settings["heartbeat.interval.ms"]) == (6000, 2000)
