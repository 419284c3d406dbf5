"""A broker in memory, and the part of confluent's `Consumer` that our consumer loop uses.

One member at a time, as in a group of one; what other members would cause is asked of the broker: `take_away` (an
orderly rebalance), `lose` (a session that ran out), `give_back`. As with the real client, callbacks run inside `poll`,
in the polling thread; paused partitions give nothing, and a partition is read from where its group committed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

Place = tuple[str, int]
Callback = Callable[[Any, list[TopicPartition]], None]
NOON_MS = 1_772_366_400_000


@dataclass(frozen=True)
class InMemoryMessage:
    """A record as the client hands it out, or an error in its place."""

    place: Place
    at: int
    content: bytes | None = None
    trouble: KafkaError | None = None

    def error(self) -> KafkaError | None:
        """None for a record."""
        return self.trouble

    def topic(self) -> str:
        """Its topic."""
        return self.place[0]

    def partition(self) -> int:
        """Its partition."""
        return self.place[1]

    def offset(self) -> int:
        """Its offset."""
        return self.at

    def key(self) -> bytes:
        """The same for all."""
        return b"key"

    def value(self) -> bytes | None:
        """What was produced."""
        return self.content

    def headers(self) -> list[tuple[str, bytes]] | None:
        """None at all, as the client says it."""
        return None

    def timestamp(self) -> tuple[int, int]:
        """Log-append time, ms."""
        return 2, NOON_MS


@dataclass
class InMemoryBroker:
    """The log of some topics, what groups committed, and what happened, in order."""

    partitions: Collection[Place]
    logs: dict[Place, list[bytes]] = field(default_factory=dict)
    committed: dict[Place, int] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    """`assign`, `unassign`, `pause`, `resume`, `commit p=offset`, `close`, as the client asked for them."""
    clients: list[InMemoryConsumer] = field(default_factory=list)
    refuses_commits: bool = False
    breaks_at_pause: bool = False
    """Whether the present client is found to be dead when it is to pause."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.logs = {place: [] for place in self.partitions}

    def client(self, settings: dict[str, Any], **_: Any) -> InMemoryConsumer:
        """A client, as the constructor of the real one makes it."""
        made = InMemoryConsumer(self, settings)
        self.clients.append(made)
        return made

    def produce(self, *values: str, partition: int = 0) -> None:
        """Append to a partition of the first topic."""
        topic = min(self.partitions)[0]
        with self.changed:
            self.logs[topic, partition] += [value.encode() for value in values]
            self.changed.notify_all()

    def take_away(self, *partitions: int) -> None:
        """Another member is to have these; the client is asked to let go."""
        self._tell("revoke", partitions)

    def lose(self, *partitions: int) -> None:
        """Another member has these already."""
        self._tell("lose", partitions)

    def give_back(self, *partitions: int) -> None:
        """The client gets these."""
        self._tell("assign", partitions)

    def trouble(self, error: KafkaError) -> None:
        """The client's next poll gives an error."""
        place = min(self.partitions)
        self._tell("message", (), InMemoryMessage(place, -1, None, error))

    def slip(self, partition: int, at: int) -> None:
        """A record that was under way when its partition was paused comes through all the same."""
        place = min(self.partitions)[0], partition
        self._tell("message", (), InMemoryMessage(place, at, self.logs[place][at]))

    def note(self, event: str) -> None:
        """Write down what the client did."""
        self.events.append(event)

    def _tell(self, what: str, partitions: Sequence[int], message: InMemoryMessage | None = None) -> None:
        topic = min(self.partitions)[0]
        with self.changed:
            places = [TopicPartition(topic, number) for number in partitions]
            self.clients[-1].told.append((what, places, message))
            self.changed.notify_all()


class InMemoryConsumer:
    """One client of the broker."""

    def __init__(self, broker: InMemoryBroker, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.told: list[tuple[str, list[TopicPartition], InMemoryMessage | None]] = []
        self.is_closed = False
        self._broker = broker
        self._positions: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._callbacks: dict[str, Callback] = {}

    def subscribe(self, topics: list[str], on_assign: Callback, on_revoke: Callback, on_lost: Callback) -> None:
        """Join; the assignment comes with the first poll."""
        self._callbacks = {"assign": on_assign, "revoke": on_revoke, "lose": on_lost}
        own = [TopicPartition(*place) for place in sorted(self._broker.partitions) if place[0] in topics]
        self.told.append(("assign", own, None))

    def poll(self, timeout: float) -> InMemoryMessage | None:
        """The next record or error; runs what the broker has to tell. None when `timeout` seconds bring nothing."""
        deadline = time.monotonic() + timeout
        while True:
            with self._broker.changed:
                told = self.told.pop(0) if self.told else None
                found = self._next() if told is None else None
                if told is None and found is None:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return None
                    self._broker.changed.wait(left)
                    continue
            if found is not None:
                return found
            if told is not None:
                what, places, message = told
                if message is not None:
                    if message.trouble is None:
                        self._positions[message.place] = message.at + 1
                    return message
                self._callbacks[what](self, places)

    def consume(self, count: int, timeout: float) -> list[InMemoryMessage]:
        """Up to `count` records that are here already."""
        assert timeout == 0, "the real one waits for the full count"
        found: list[InMemoryMessage] = []
        with self._broker.changed:
            while len(found) < count and (message := self._next()) is not None:
                found.append(message)
        return found

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        """Begin with partitions where the group committed."""
        self._broker.note(f"assign {_numbers(places)}")
        for place in map(_place, places):
            self._positions[place] = self._broker.committed.get(place, 0)

    def incremental_unassign(self, places: list[TopicPartition]) -> None:
        """Let go of partitions."""
        self._broker.note(f"unassign {_numbers(places)}")
        for place in map(_place, places):
            del self._positions[place]
            self._paused.discard(place)

    def assignment(self) -> list[TopicPartition]:
        """The partitions that this client has."""
        return [TopicPartition(*place) for place in sorted(self._positions)]

    def pause(self, places: list[TopicPartition]) -> None:
        """Give nothing of these."""
        if self._broker.breaks_at_pause:
            self._broker.breaks_at_pause = False
            raise KafkaException(KafkaError(KafkaError._FATAL, "thrown out", True))
        self._broker.note(f"pause {_numbers(places)}")
        self._paused |= set(map(_place, places))

    def resume(self, places: list[TopicPartition]) -> None:
        """Give again."""
        self._broker.note(f"resume {_numbers(places)}")
        self._paused -= set(map(_place, places))

    def seek(self, place: TopicPartition) -> None:
        """Read on from an offset; raises for a partition that is not this client's."""
        if _place(place) not in self._positions:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self._positions[_place(place)] = place.offset

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        """Put down what is done; the broker does not ask whose partition it is."""
        how = "" if asynchronous else " and waits"
        for place in offsets:
            if self._broker.refuses_commits:
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
            self._broker.note(f"commit {place.partition}={place.offset}{how}")
            self._broker.committed[_place(place)] = place.offset

    def close(self) -> None:
        """Leave the group; what it has is taken from it first."""
        if self._positions:
            self._callbacks["revoke"](self, self.assignment())
        self.is_closed = True
        self._broker.note("close")

    def _next(self) -> InMemoryMessage | None:
        for place, position in sorted(self._positions.items()):
            log = self._broker.logs[place]
            if place not in self._paused and position < len(log):
                self._positions[place] = position + 1
                return InMemoryMessage(place, position, log[position])
        return None


def _place(place: TopicPartition) -> Place:
    return place.topic, place.partition


def _numbers(places: list[TopicPartition]) -> str:
    return ",".join(str(place.partition) for place in places)
