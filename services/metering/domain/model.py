"""The words of metering: producers, reports, totals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from schemas.tenant import Limit, ProducerScope, Window
from schemas.usage import UsageSample, is_hold_of


@dataclass(frozen=True, slots=True)
class Producer:
    """A registered key, and for whom it may speak."""

    key_id: str
    tenant_id: UUID
    """Whose key it is; PLATFORM_TENANT for gateways of the platform."""
    public_key: str
    """Ed25519, unpadded base64url."""
    scope: ProducerScope


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tenant's usage is measured against."""

    tenant_id: UUID
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A verified record: the samples of one tenant, and where they stand in the log."""

    tenant_id: UUID
    source: str
    """Whose word it is, and the CloudEvents source: nobody can take the ids of another's samples."""
    samples: tuple[UsageSample, ...]
    partition: int
    offset: int
    event_id: str
    """CloudEvents id of the record."""


@dataclass(frozen=True, slots=True)
class TotalKey:
    """One total: what a tenant used of a meter in a window, as far as one source partition told."""

    tenant_id: UUID
    meter: str
    """A `Meter`, or DUPLICATES."""
    window: Window
    window_start: date
    """First day, UTC."""
    partition: int

    def __str__(self) -> str:
        start = self.window_start.isoformat()
        return f"{self.tenant_id}|{self.meter}|{self.window}|{start}|{self.partition}"


@dataclass(frozen=True, slots=True)
class Total:
    """A sum in the meter's unit, and the offset up to which it counts. The two are never written apart."""

    total: int
    hi: int


NOTHING = Total(total=0, hi=-1)
"""A total before its first record."""


@dataclass(frozen=True, slots=True)
class LimitedUse:
    """A limit of the tenant's plan, and what is settled under it over all partitions."""

    limit: Limit
    window_start: date
    settled: int


def window_start(window: Window, moment: datetime) -> date:
    """First day of the window that `moment` (UTC) is in."""
    day = moment.date()
    return day if window is Window.DAY else day.replace(day=1)


def higher(first: Total, second: Total) -> Total:
    """The one that counts further. At the same offset both are the same."""
    return second if second.hi > first.hi else first


def ended_holds(tenant_id: UUID, samples: Iterable[UsageSample]) -> tuple[str, ...]:
    """The holds that the tenant's samples end, each once: its own, whoever reports, and nobody else's."""
    named = dict.fromkeys(sample.hold_id for sample in samples if sample.hold_id)
    return tuple(name for name in named if is_hold_of(tenant_id, name))
