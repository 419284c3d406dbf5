"""Named places between two statements of the plumbing, where a crash test can end the process.

In production nothing happens at them. The names are part of the crash tests: a place that is renamed or moved must be
renamed there.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Checkpoint(StrEnum):
    """The statement boundaries of a handler, of the relay and of a lease holder's batch."""

    BEFORE_CLAIM = "before-claim"
    AFTER_CLAIM = "after-claim"
    AFTER_SAVE = "after-save"
    AFTER_OUTBOX = "after-outbox"
    AFTER_COMMIT = "after-commit"
    AFTER_OFFSET = "after-offset"
    RELAY_SELECTED = "relay-selected"
    RELAY_SENT = "relay-sent"
    RELAY_DELETED = "relay-deleted"
    LEASE_ACQUIRED = "lease-acquired"
    LEASE_FENCED = "lease-fenced"
    LEASE_TICKED = "lease-ticked"


Reached = Callable[[Checkpoint], None]
"""Called each time a process passes a checkpoint."""


def pass_by(_: Checkpoint) -> None:
    """What production does at a checkpoint: nothing."""
