"""A real process is killed with SIGKILL at each statement boundary; after its restart nothing is lost or doubled."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psutil
import pytest

from services.kit.checkpoints import Checkpoint
from tests.integration.kit.harness import Probe, eventually, header, wire_duplicates

HANDLER = [
    Checkpoint.BEFORE_CLAIM,
    Checkpoint.AFTER_CLAIM,
    Checkpoint.AFTER_SAVE,
    Checkpoint.AFTER_OUTBOX,
    Checkpoint.AFTER_COMMIT,
    Checkpoint.AFTER_OFFSET,
]
RELAY = [Checkpoint.RELAY_SELECTED, Checkpoint.RELAY_SENT, Checkpoint.RELAY_DELETED]
LEASE = [
    Checkpoint.LEASE_ACQUIRED,
    Checkpoint.LEASE_FENCED,
    Checkpoint.AFTER_SAVE,
    Checkpoint.AFTER_OUTBOX,
    Checkpoint.AFTER_COMMIT,
    Checkpoint.LEASE_TICKED,
]
ASKED = 24
TAKE_OVER_SECONDS = 10.0


Tell = Callable[[str, int], None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Says how many copies a killed process left on the wire; shown at the end of the run. More than a few is wrong."""
    name = "copies on the wire, by where the process was killed"
    return lambda place, copies: record_property(name, (place, copies))


def crash_and_recover(probe: Probe, checkpoint: Checkpoint, on: int, mode: str = "") -> int:
    """Kill the probe at the checkpoint, start it again, wait for the end; returns the copies on the wire."""
    ids = probe.ask(range(ASKED), copies=lambda number: 2 if number % 8 == 0 else 1)
    process = probe.start(crash_at=checkpoint.value, crash_on=str(on), mode=mode)
    assert process.wait(timeout=40) == -signal.SIGKILL, probe.log.read_text()[-4000:]
    with probe.running(mode=mode):
        eventually(lambda: probe.is_done(ASKED), probe.log)
    said = probe.said()
    assert probe.effects() == dict.fromkeys(ids, 1)
    assert sorted({header(record, "ce_causationid") for record in said}) == sorted(ids)
    assert len({(header(record, "ce_source"), header(record, "ce_id")) for record in said}) == ASKED
    return wire_duplicates(said)


def assert_gap_free(probe: Probe) -> None:
    """Per key, the first copies on the topic are numbered 1, 2, 3, … in the order they stand there."""
    by_key: dict[bytes, list[int]] = {}
    for record in probe.said():
        sequences = by_key.setdefault(record.key or b"", [])
        if (number := int(header(record, "ce_sequence"))) not in sequences:
            sequences.append(number)
    assert by_key
    for sequences in by_key.values():
        assert sequences == list(range(1, len(sequences) + 1))


@pytest.mark.parametrize("on", [1, 3])
@pytest.mark.parametrize("checkpoint", HANDLER)
def test_handler_killed(probe: Probe, checkpoint: Checkpoint, on: int, tell: Tell) -> None:
    tell(f"handler {checkpoint}", crash_and_recover(probe, checkpoint, on))
    assert_gap_free(probe)


@pytest.mark.parametrize("on", [1, 2])
@pytest.mark.parametrize("checkpoint", RELAY)
def test_relay_killed(probe: Probe, checkpoint: Checkpoint, on: int, tell: Tell) -> None:
    copies = crash_and_recover(probe, checkpoint, on)
    tell(f"relay {checkpoint}", copies)
    assert_gap_free(probe)
    if checkpoint is Checkpoint.RELAY_SENT:
        assert copies > 0, "killed between delivery and deletion, the relay must have sent something again"


@pytest.mark.parametrize("checkpoint", LEASE)
def test_lease_holder_killed(probe: Probe, checkpoint: Checkpoint, tell: Tell) -> None:
    on = 1 if checkpoint is Checkpoint.LEASE_ACQUIRED else 2
    tell(f"lease holder {checkpoint}", crash_and_recover(probe, checkpoint, on, mode="lease"))
    assert_gap_free(probe)


def test_holder_frozen_in_the_middle_of_its_transaction_is_replaced_and_its_write_is_undone(probe: Probe) -> None:
    """Frozen under the fence it still holds the lease's row: the server must take that back, or nobody could go on."""
    ids = probe.ask(range(ASKED))
    frozen = probe.start(crash_at=Checkpoint.LEASE_FENCED, crash_on="2", mode="lease", signal="SIGSTOP")
    try:
        eventually(lambda: psutil.Process(frozen.pid).status() == psutil.STATUS_STOPPED, probe.log)
        started = time.monotonic()
        with probe.running(mode="lease", instance="1"):
            eventually(lambda: probe.holder() not in (None, frozen.pid), probe.log)
            assert time.monotonic() - started < TAKE_OVER_SECONDS
            eventually(lambda: probe.is_done(ASKED), probe.log)
            frozen.send_signal(signal.SIGCONT)
            eventually(lambda: "competing for it again" in probe.log.read_text(), probe.log)
            frozen.terminate()
            assert frozen.wait(timeout=40) == 0
        assert probe.effects() == dict.fromkeys(ids, 1)
    finally:
        frozen.kill()
        frozen.wait()
