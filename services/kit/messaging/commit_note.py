"""The note beside a committed offset: how old the event was when its effect and its offset were committed.

Kafka keeps a short text with each offset (field `committed_metadata` of OffsetCommit and OffsetFetch) and gives it to
whoever asks for the offset. So the first lag number is known from Kafka alone, as the other two are: no process has to
ask another, and it is there while the consumer is down.
"""

from __future__ import annotations

import re

_NOTE = re.compile(r"age_ms=(\d{1,15})")


def note_of(age_seconds: float) -> str:
    """The note that says this age, to the millisecond: append times are no finer."""
    return f"age_ms={round(age_seconds * 1000)}"


def age_in(note: str | None) -> float | None:
    """The age in seconds that a note says; None when whoever committed left no note of ours."""
    found = _NOTE.fullmatch(note or "")
    return int(found[1]) / 1000 if found else None
