"""Windows of limits."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from schemas.tenant import Window


def reset_of(window: Window, day: date) -> datetime:
    """When the window that `day` is in ends, UTC: the next midnight, or the first of the next month."""
    first_of_next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    end = day + timedelta(days=1) if window is Window.DAY else first_of_next_month
    return datetime(end.year, end.month, end.day, tzinfo=UTC)
