"""Quotas: what happened to a tenant's limits. Key: the tenant."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from schemas.base import EventData, Timestamp
from schemas.tenant import Meter, Window


class QuotaEvent(EventData):
    """Base of what is recorded about one limit in one window."""

    topic: ClassVar[str] = "taxiway.quota.events.v1"

    tenant_id: UUID
    """The tenant."""
    meter: Meter
    """What is limited."""
    window: Window
    """Per day or per month."""
    window_start: Timestamp
    """Start of the window, UTC."""
    limit: Annotated[int, Field(ge=0)]
    """The limit in force."""
    settled: Annotated[int, Field(ge=0)]
    """What was used in the window when the event was written."""

    @property
    def key(self) -> str:
        """The tenant id."""
        return str(self.tenant_id)


class QuotaThresholdReached(QuotaEvent):
    """Usage passed a share of the limit; once per window and threshold."""

    type: ClassVar[str] = "taxiway.quota.threshold-reached.v1"

    percent: Annotated[int, Field(ge=1, le=1000)]
    """The threshold, in percent of the limit."""


class QuotaExceeded(QuotaEvent):
    """Usage is over the limit."""

    type: ClassVar[str] = "taxiway.quota.exceeded.v1"
