"""Spares a log the repetitions of libraries: Kafka clients complain twenty times a second while a broker is away."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

SILENCE_SECONDS = 10.0
"""After a message, before one like it passes again."""
MOST = 1_000
"""Kinds of messages that are remembered."""

_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class _Seen:
    at: float
    held_back: int = 0


class Repeats(logging.Filter):
    """Lets one of many messages pass that differ in numbers only; the next that passes tells how many did not."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: dict[tuple[str, int, str], _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes."""
        now, kind = self._monotonic(), (record.name, record.levelno, _NUMBER.sub("0", str(record.msg)))
        seen = self._seen.get(kind)
        if seen is not None and now - seen.at < SILENCE_SECONDS:
            seen.held_back += 1
            return False
        if seen is not None and seen.held_back:
            record.msg = f"{record.msg} ({seen.held_back} more like this in the {now - seen.at:.0f} s before)"
        if len(self._seen) >= MOST:
            self._seen.clear()
        self._seen[kind] = _Seen(now)
        return True
