"""The words of a quota: scopes, asks, holds, settlements, and what can go wrong.

TransientError
└── QuotaUnavailable   Redis is away, or has lost its data and is not rebuilt yet: answer 503, admit nothing
TaxiwayError
├── QuotaDenied        the ask does not fit under its limit
└── QuotaConflict      the hold's id stands for other asks, or was committed already
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, Protocol

from services.kit.errors import TaxiwayError, TransientError

DUPLICATES = "duplicates"
"""The meter under which dropped duplicates are totalled; no limit applies to it."""

Window = Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant's use of one meter in one window."""

    tenant_id: str
    meter: str
    window: Window
    window_start: date
    """First day of the window, UTC; the first of the month for `month`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """So much is wanted in a scope, under that limit. Both in the meter's unit, from 0 to 2^53."""

    scope: Scope
    amount: int
    limit: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used of a scope, in the meter's unit."""

    settled: int = 0
    """Counted by metering."""
    held: int = 0
    """Set aside for requests that are not settled yet; expired holds do not count."""


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that stands."""

    hold_id: str
    usages: tuple[Usage, ...]
    """Usage of each ask's scope, in the order of the asks, this hold included."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What metering has counted in a scope from one source partition: an absolute total, never an increment."""

    scope: Scope
    partition: int
    total: int
    hi: int
    """Offset up to which the total counts; a settlement with a lower or equal one moves nothing."""
    hold_ids: Sequence[str] = ()
    """Holds whose samples the total contains; they end here, in every window of this kind."""


class QuotaDenied(TaxiwayError):  # noqa: N818
    """The first ask that does not fit; nothing was held."""

    def __init__(self, ask: Ask, usage: Usage) -> None:
        super().__init__(
            f"{ask.scope.meter} per {ask.scope.window}: {usage.settled} settled + {usage.held} held + "
            f"{ask.amount} asked exceed the limit of {ask.limit}"
        )
        self.scope = ask.scope
        self.limit = ask.limit
        self.asked = ask.amount
        self.settled = usage.settled
        self.held = usage.held


class QuotaConflict(TaxiwayError):  # noqa: N818
    """The same hold id was used for other asks."""


class QuotaUnavailable(TransientError):  # noqa: N818
    """Redis is away, or its data set was lost and is not rebuilt. Nothing may be let through uncounted."""


class QuotaLedger(Protocol):
    """All that happens to quotas. Each call is atomic; all raise `QuotaUnavailable`."""

    async def hold(self, hold_id: str, asks: Sequence[Ask], ttl_seconds: int) -> Held:
        """Set all asks aside for `ttl_seconds`, or none.

        The same id with the same meters, windows and amounts gives the same answer, whatever day it is by then.
        Raises `QuotaDenied` or `QuotaConflict`.
        """

    async def commit(self, hold_id: str, amounts: Mapping[str, int]) -> None:
        """Make the hold permanent at the actual amount of each meter, until it is settled.

        A meter without an amount is given back. What is settled already stays settled; a second commit, or one of an
        unknown hold, changes nothing. A hold that has expired meanwhile stands again, even over the limit.
        """

    async def release(self, hold_id: str) -> None:
        """Give back a hold that was not used; one that was committed or settled stays."""

    async def settle(self, scope: Scope, partition: int, total: int, hi: int, hold_ids: Sequence[str] = ()) -> bool:
        """Record a total and end the holds it contains; False when one with this `hi` or a higher one stands."""

    async def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        """`settle` for each, in order, in one round trip."""

    async def usage(self, scope: Scope) -> Usage:
        """What is used of the scope now."""

    async def read(self, scopes: Sequence[Scope]) -> list[Usage]:
        """`usage` of each scope, in order, in one round trip."""

    async def is_intact(self) -> bool:
        """Whether the data set was rebuilt since it was last lost (or never filled)."""

    async def restore(self, settlements: Sequence[Settlement]) -> None:
        """`settle_all` on a data set that is not intact yet."""

    async def mark_intact(self, epoch: str) -> None:
        """Everything was restored; admission may go on. `epoch` names the rebuild, for people."""


def check_asks(asks: Sequence[Ask], ttl_seconds: int) -> None:
    """Raises ValueError unless all asks are of one tenant, name a kind of limit once, and are not negative."""
    limits = {(ask.scope.meter, ask.scope.window) for ask in asks}
    if len({ask.scope.tenant_id for ask in asks}) > 1 or len(limits) < len(asks):
        raise ValueError("the asks of a hold are of one tenant, one per meter and window")
    if ttl_seconds <= 0 or any(ask.amount < 0 for ask in asks):
        raise ValueError("a hold's time and amounts are not negative")


def day_scope(tenant_id: str, meter: str, day: date) -> Scope:
    """The scope of one UTC day."""
    return Scope(tenant_id, meter, "day", day)


def month_scope(tenant_id: str, meter: str, day: date) -> Scope:
    """The scope of the UTC month that `day` is in."""
    return Scope(tenant_id, meter, "month", day.replace(day=1))


def scope_at(tenant_id: str, meter: str, window: Window, day: date) -> Scope:
    """The scope of the window of that kind that `day` is in."""
    return day_scope(tenant_id, meter, day) if window == "day" else month_scope(tenant_id, meter, day)


def day_scopes(tenant_id: str, meter: str, first: date, last: date) -> list[Scope]:
    """One scope for each UTC day from `first` to `last`, both included; for reading usage over a range."""
    return [day_scope(tenant_id, meter, first + timedelta(days=n)) for n in range((last - first).days + 1)]
