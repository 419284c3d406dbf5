"""Time stands still until it is moved; identities sort by the time they were made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.kit.clock import HeldClock, SystemClock
from services.kit.errors import LeaseLostError, PermanentError, TaxiwayError, TransientError
from services.kit.ids import new_id

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_system_clock_tells_utc() -> None:
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)


def test_a_held_clock_moves_only_when_told() -> None:
    clock = HeldClock(START)
    assert clock.now() == clock.now() == START
    clock.advance(1.5)
    assert clock.now() == START + timedelta(seconds=1.5)


def test_ids_are_uuid7_unique_and_in_order() -> None:
    ids = [new_id() for _ in range(2000)]
    assert {made.version for made in ids} == {7}
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_the_error_tree_says_what_is_to_be_done() -> None:
    for kind in (TransientError, PermanentError, LeaseLostError):
        assert issubclass(kind, TaxiwayError)
    assert TransientError("away", 2.5).retry_after == 2.5
    assert not issubclass(PermanentError, TransientError)
