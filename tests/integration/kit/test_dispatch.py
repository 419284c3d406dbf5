"""A batch against the real inbox: what is handled, what is dropped, what is set aside, and what that counts for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import REGISTRY

from schemas.envelope import Attributes, Event, Headers
from schemas.errors import SignatureError
from schemas.node import NodeRemoved
from schemas.signing import SIGNATURE_HEADER, key_id_of
from services.kit.clock import HeldClock
from services.kit.errors import PermanentError, TransientError
from services.kit.messaging.dead_letters import DeadLetters, TripWire, TripWireError
from services.kit.messaging.dispatch import ATTEMPTS, Dispatcher
from services.kit.messaging.record import Record
from services.kit.messaging.redrive import REDRIVEN_HEADER
from services.kit.persistence.database import Database
from services.kit.persistence.unit_of_work import UnitOfWork
from tests.fakes.kit.producer import InMemoryProducer
from tests.integration.kit.harness import Probe
from tests.unit.kit.events import NOON

TOPIC = "taxiway.node.events.v1"


def record(
    offset: int, *, sequence: int | None = None, node: str = "n", value: bytes | None = None, **ce: str
) -> Record:
    """A record of one key; `ce` replaces attributes."""
    names = {"id": f"id-{offset}", "source": "/test", "type": NodeRemoved.type, "time": "2026-03-01T12:00:00Z"} | ce
    headers: list[tuple[str, bytes | None]] = [(f"ce_{name}", text.encode()) for name, text in names.items()]
    headers.append(("ce_specversion", b"1.0"))
    if sequence is not None:
        headers.append(("ce_sequence", b"%020d" % sequence))
    content = b'{"node": "%s", "reason": "r"}' % node.encode() if value is None else value
    return Record(TOPIC, 0, offset, node.encode(), content, headers, int(NOON.timestamp() * 1000))


def bad(offset: int, **changes: Any) -> Record:
    """One whose value does not fit."""
    return record(offset, value=b"{}", **changes)


@dataclass
class Bench:
    """A dispatcher, and everything that it did."""

    database: Database
    group: str
    producer: InMemoryProducer = field(default_factory=InMemoryProducer)
    handled: list[str] = field(default_factory=list)
    """Ids, in order, of transactions that were committed or not."""
    breaks_on: dict[str, Exception] = field(default_factory=dict)
    """By id."""
    is_outside: bool = False

    def dispatcher(self, wire: TripWire | None = None) -> Dispatcher:
        """A new one, as after a restart."""
        letters = DeadLetters(self.producer, self.group, HeldClock(NOON), wire)
        authenticate = self._authenticate if self.is_outside else None
        return Dispatcher(
            self.database, self.group, {NodeRemoved: self._handle}, letters, HeldClock(NOON), authenticate=authenticate
        )

    async def _handle(self, event: Event[NodeRemoved], _: UnitOfWork) -> None:
        self.handled.append(event.id)
        if event.id in self.breaks_on:
            raise self.breaks_on[event.id]

    async def _authenticate(self, seen: Record, _: Attributes) -> str:
        return key_id_of(seen.headers) if any(name == SIGNATURE_HEADER for name, _ in seen.headers) else "someone"

    @property
    def aside(self) -> list[tuple[str, str]]:
        """Offset and reason of each dead letter."""
        said = [dict(letter.headers) for letter in self.producer.sent]
        return [
            ((said["taxiway_dlq_original_offset"] or b"").decode(), (said["taxiway_dlq_error_type"] or b"").decode())
            for said in said
        ]

    @property
    def gaps(self) -> float:
        """Jumps that were counted."""
        return REGISTRY.get_sample_value("taxiway_consumer_sequence_gaps_total", {"group": self.group}) or 0.0


@pytest.fixture
async def bench(probe: Probe) -> AsyncIterator[Bench]:
    """One of a group that nobody else is in."""
    database = Database(probe.dsn, "/test/dispatch")
    yield Bench(database, probe.run)
    await database.close()


async def test_a_batch_is_handled_in_order_and_once(bench: Bench) -> None:
    batch = [record(offset, sequence=offset + 1) for offset in range(5)]
    dispatcher = bench.dispatcher()
    await dispatcher.process(batch)
    await dispatcher.process(batch)
    await bench.dispatcher().process([record(9, id="id-2", sequence=3)])
    assert bench.handled == [f"id-{offset}" for offset in range(5)]
    assert bench.gaps == 0


async def test_an_old_copy_under_another_id_is_dropped_and_a_jump_is_counted(bench: Bench) -> None:
    await bench.dispatcher().process([record(0, sequence=4), record(1, sequence=3), record(2, sequence=5)])
    assert (bench.handled, bench.gaps) == (["id-0", "id-2"], 0)
    await bench.dispatcher().process([record(3, sequence=8), record(4, sequence=1, node="other")])
    assert (bench.handled, bench.gaps) == (["id-0", "id-2", "id-3", "id-4"], 1)


async def test_what_is_not_handled_counts_in_the_sequence_of_its_key(bench: Bench) -> None:
    """Types without a handler, types of a later release, and what is set aside, by its reading or by its handler."""
    bench.breaks_on = {"id-3": RuntimeError("a bug")}
    await bench.dispatcher().process(
        [
            record(0, sequence=1),
            record(1, sequence=2, type="taxiway.node.married.v1"),
            bad(2, sequence=3),
            record(3, sequence=4),
            record(4, sequence=5, type="taxiway.node.observed.v1", value=b"{}"),
        ]
    )
    await bench.dispatcher().process([record(5, sequence=6)])
    assert (bench.gaps, bench.handled[-1]) == (0, "id-5")
    assert bench.aside == [("2", "schema"), ("3", "RuntimeError"), ("4", "schema")]


async def test_a_redriven_record_is_handled_though_its_key_went_on(bench: Bench) -> None:
    await bench.dispatcher().process([record(0, sequence=1), bad(1, sequence=2), record(2, sequence=3)])
    again = record(3, sequence=2, id="id-1")
    again.headers.append((REDRIVEN_HEADER, b"1"))
    await bench.dispatcher().process([again])
    assert bench.handled == ["id-0", "id-2", "id-1"]


async def test_a_message_that_fails_costs_itself_alone_after_three_tries(bench: Bench) -> None:
    bench.breaks_on = {"id-1": RuntimeError("a bug"), "id-3": PermanentError("never")}
    await bench.dispatcher().process([record(offset, sequence=offset + 1) for offset in range(5)])
    await bench.dispatcher().process([record(5, sequence=6)])
    in_batch = ["id-0", "id-1"]
    one_by_one = ["id-0", *["id-1"] * ATTEMPTS, "id-2", "id-3", "id-4"]
    assert bench.handled == [*in_batch, *one_by_one, "id-5"]
    assert bench.aside == [("1", "RuntimeError"), ("3", "PermanentError")]
    assert bench.gaps == 0


async def test_a_batch_that_is_tried_again_leaves_one_dead_letter_of_each_and_loses_none(bench: Bench) -> None:
    bench.breaks_on = {"id-2": RuntimeError("a bug")}
    batch = [
        bad(0, sequence=1),
        record(1, sequence=2),
        record(2, sequence=3),
        bad(3, sequence=4),
        record(4, sequence=5),
    ]
    dispatcher = bench.dispatcher()
    bench.producer.failures = [None, TransientError("away"), None, TransientError("away")]
    for _ in range(2):
        with pytest.raises(TransientError):
            await dispatcher.process(batch)
    await dispatcher.process(batch)
    assert bench.aside == [("0", "schema"), ("2", "RuntimeError"), ("3", "schema")]
    assert (bench.handled[-1], bench.gaps) == ("id-4", 0)


async def test_unreadable_records_trip_the_wire_also_one_a_batch(bench: Bench) -> None:
    dispatcher = bench.dispatcher(TripWire(run=3))
    for offset in range(3):
        await dispatcher.process([bad(offset)])
    with pytest.raises(TripWireError, match="3 records in a row"):
        await dispatcher.process([bad(3)])
    await bench.dispatcher(TripWire(run=3)).process([bad(3), record(4), bad(5), bad(6), record(7), bad(8)])


async def test_no_stranger_trips_the_wire(bench: Bench) -> None:
    bench.is_outside = True
    bench.breaks_on = {f"id-{offset}": RuntimeError("a bug") for offset in range(10, 20)}
    dispatcher = bench.dispatcher(TripWire(run=3))
    await dispatcher.process([bad(offset) for offset in range(10)])
    await dispatcher.process([record(offset) for offset in range(10, 20)])
    await dispatcher.process([record(20)])
    assert len(bench.aside) == 20
    assert bench.handled[-1] == "id-20"


def forged(offset: int, name: str, value: bytes) -> Record:
    """A record with one header as a stranger may send it."""
    good = record(offset)
    good.headers.append((name, value))
    return good


def bad_signature() -> Headers:
    """A signature whose key id no database takes."""
    return [(SIGNATURE_HEADER, b"eyJraWQiOiAiXHUwMDAwIn0..AAAA")]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ce_sequence", "²".encode(), "envelope"),
        ("ce_sequence", b"1" * 5000, "envelope"),
        ("ce_time", b"9999-12-31T23:59:59-14:00", "envelope"),
        ("ce_id", b"nul\0", "envelope"),
        ("ce_type", b"\xff", "envelope"),
        (*bad_signature()[0], "signature"),
    ],
)
async def test_nothing_a_stranger_sends_ends_the_consumer(bench: Bench, name: str, value: bytes, reason: str) -> None:
    bench.is_outside = True
    await bench.dispatcher().process([forged(0, name, value), record(1)])
    assert bench.aside == [("0", reason)]
    assert bench.handled == ["id-1"]


async def test_what_breaks_the_reading_itself_is_set_aside(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.is_outside = True

    async def breaks(self: Bench, seen: Record, _: Attributes) -> str:
        if seen.offset == 0:
            raise ZeroDivisionError("nobody expected this")
        raise SignatureError("no")

    monkeypatch.setattr(Bench, "_authenticate", breaks)
    await bench.dispatcher().process([record(0), record(1)])
    assert bench.aside == [("0", "unreadable"), ("1", "signature")]


async def test_from_outside_a_sequence_says_nothing_and_unknown_types_are_told(bench: Bench) -> None:
    bench.is_outside = True
    await bench.dispatcher().process([record(0, sequence=9), record(1, sequence=2), record(2, type="a.b.v1")])
    assert (bench.handled, bench.gaps, bench.aside) == (["id-0", "id-1"], 0, [("2", "unknown-type")])


async def test_what_nobody_handles_is_counted_by_its_type_where_that_is_known(bench: Bench) -> None:
    observed = b'{"node": "n", "pool": "p", "cpu_milli": 1, "memory_mib": 1, "gpu_count": 0}'
    kinds = ("taxiway.node.observed.v1", "taxiway.node.married.v1")
    await bench.dispatcher().process([record(at, type=kind, value=observed) for at, kind in enumerate(kinds)])
    for kind in ("taxiway.node.observed.v1", "unknown"):
        labels = {"group": bench.group, "type": kind, "outcome": "unknown"}
        assert REGISTRY.get_sample_value("taxiway_consumer_handled_total", labels) == 1
    assert bench.aside == []
