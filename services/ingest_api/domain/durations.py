"""Durations as people write them: `10s`, `500ms`, `2m`, `1h`, or ISO 8601 (`PT10S`)."""

from __future__ import annotations

import re

from services.ingest_api.domain.problems import invalid

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHORT = re.compile(r"^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$", re.ASCII)
_ISO = re.compile(r"^PT(?=\d)(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?$", re.ASCII)


def seconds_of(text: str, parameter: str) -> float:
    """Seconds; raises `Problem` naming the parameter."""
    if (match := _SHORT.match(text)) is not None:
        return float(match[1]) * UNITS[match[2]]
    if (match := _ISO.match(text)) is not None:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return hours * 3600.0 + minutes * 60.0 + seconds
    raise invalid("", f"{parameter}: write a duration such as 10s or PT10S")
