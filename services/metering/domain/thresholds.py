"""When usage passes a share of a limit, and what is said then."""

from __future__ import annotations

from datetime import UTC, datetime, time
from uuid import UUID

from schemas.quota import QuotaEvent, QuotaExceeded, QuotaThresholdReached
from services.metering.domain.model import LimitedUse

PERCENTS = (75, 90, 100)
"""Shares of a limit that are told when reached."""

EXCEEDED = "exceeded"


def notices(tenant_id: UUID, use: LimitedUse) -> dict[str, QuotaEvent]:
    """All that may be said about a limit now, by the name under which it is said once per window."""
    if use.settled == 0:
        return {}
    details = {
        "tenant_id": tenant_id,
        "meter": use.limit.meter,
        "window": use.limit.window,
        "window_start": datetime.combine(use.window_start, time(), UTC),
        "limit": use.limit.amount,
        "settled": use.settled,
    }
    said: dict[str, QuotaEvent] = {
        f"threshold-{percent}": QuotaThresholdReached.model_validate(details | {"percent": percent})
        for percent in PERCENTS
        if use.settled * 100 >= use.limit.amount * percent
    }
    if use.settled > use.limit.amount:
        said[EXCEEDED] = QuotaExceeded.model_validate(details)
    return said
