"""`InMemoryQuota`: the quota ledger for tests of whoever holds or settles; passes the contract of the real one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.kit.clock import Clock
from services.kit.quota.keys import fingerprint
from services.kit.quota.model import (
    Ask,
    Held,
    QuotaConflict,
    QuotaDenied,
    QuotaUnavailable,
    Scope,
    Settlement,
    Usage,
    check_asks,
)


@dataclass
class _Hold:
    asks: str
    expires: datetime
    parts: dict[Scope, int]
    """What still stands, by scope."""
    state: str = "held"


class InMemoryQuota:
    """The quotas of one test. Intact from the start; `lose` forgets everything, `is_away` fails every call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.epoch: str | None = "first"
        self.is_away = False
        self.overruns: list[str] = []
        """Meters of holds that had expired when they were committed."""
        self._holds: dict[str, _Hold] = {}
        self._totals: dict[Scope, dict[int, tuple[int, int]]] = defaultdict(dict)

    def lose(self) -> None:
        """The data set is gone."""
        self.epoch = None
        self._holds.clear()
        self._totals.clear()

    async def hold(self, hold_id: str, asks: Sequence[Ask], ttl_seconds: int) -> Held:
        """See `QuotaLedger.hold`."""
        if not asks:
            return Held(hold_id, ())
        check_asks(asks, ttl_seconds)
        self._check_intact()
        known = self._holds.get(hold_id)
        if known is not None and known.asks != fingerprint(asks):
            raise QuotaConflict(f"hold {hold_id!r} stands for other amounts already")
        if known is not None and known.state != "held":
            raise QuotaConflict(f"hold {hold_id!r} was committed already")
        if known is None or known.expires <= self._clock.now():
            self._place(hold_id, asks, ttl_seconds)
        return Held(hold_id, tuple(self._usage(ask.scope) for ask in asks))

    async def commit(self, hold_id: str, amounts: Mapping[str, int]) -> None:
        """See `QuotaLedger.commit`."""
        self._check_there()
        hold = self._holds.get(hold_id)
        if hold is None or hold.state == "committed":
            return
        if hold.expires <= self._clock.now():
            self.overruns += [scope.meter for scope in hold.parts if amounts.get(scope.meter)]
        hold.parts = {scope: amounts[scope.meter] for scope in hold.parts if amounts.get(scope.meter)}
        hold.state = "committed"

    async def release(self, hold_id: str) -> None:
        """See `QuotaLedger.release`."""
        self._check_there()
        if hold_id in self._holds and self._holds[hold_id].state == "held":
            del self._holds[hold_id]

    async def settle(self, scope: Scope, partition: int, total: int, hi: int, hold_ids: Sequence[str] = ()) -> bool:
        """See `QuotaLedger.settle`."""
        return (await self.settle_all([Settlement(scope, partition, total, hi, hold_ids)]))[0]

    async def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        """See `QuotaLedger.settle_all`."""
        self._check_intact()
        return [self._settle(settlement) for settlement in settlements]

    async def usage(self, scope: Scope) -> Usage:
        """See `QuotaLedger.usage`."""
        return (await self.read([scope]))[0]

    async def read(self, scopes: Sequence[Scope]) -> list[Usage]:
        """See `QuotaLedger.read`."""
        self._check_intact()
        return [self._usage(scope) for scope in scopes]

    async def is_intact(self) -> bool:
        """See `QuotaLedger.is_intact`."""
        self._check_there()
        return self.epoch is not None

    async def restore(self, settlements: Sequence[Settlement]) -> None:
        """See `QuotaLedger.restore`."""
        self._check_there()
        for settlement in settlements:
            self._settle(settlement)

    async def mark_intact(self, epoch: str) -> None:
        """See `QuotaLedger.mark_intact`."""
        self._check_there()
        self.epoch = self.epoch or epoch

    def _place(self, hold_id: str, asks: Sequence[Ask], ttl_seconds: int) -> None:
        for ask in asks:
            usage = self._usage(ask.scope)
            if usage.settled + usage.held + ask.amount > ask.limit:
                raise QuotaDenied(ask, usage)
        expires = self._clock.now() + timedelta(seconds=ttl_seconds)
        self._holds[hold_id] = _Hold(fingerprint(asks), expires, {ask.scope: ask.amount for ask in asks})

    def _settle(self, settlement: Settlement) -> bool:
        scope = settlement.scope
        for hold_id in settlement.hold_ids:
            hold = self._holds.get(hold_id)
            if hold is not None:
                ended = [part for part in hold.parts if _is_alike(part, scope)]
                for part in ended:
                    del hold.parts[part]
                    hold.state = "settling" if hold.state == "held" else hold.state
        _, hi = self._totals[scope].get(settlement.partition, (0, -1))
        if hi >= settlement.hi:
            return False
        self._totals[scope][settlement.partition] = (settlement.total, settlement.hi)
        return True

    def _usage(self, scope: Scope) -> Usage:
        now = self._clock.now()
        held = sum(
            hold.parts.get(scope, 0) for hold in self._holds.values() if hold.state == "committed" or hold.expires > now
        )
        return Usage(settled=sum(total for total, _ in self._totals[scope].values()), held=held)

    def _check_there(self) -> None:
        if self.is_away:
            raise QuotaUnavailable("away")

    def _check_intact(self) -> None:
        self._check_there()
        if self.epoch is None:
            raise QuotaUnavailable("lost")


def _is_alike(first: Scope, second: Scope) -> bool:
    """Same tenant, meter and kind of window, whatever its start."""
    return (first.tenant_id, first.meter, first.window) == (second.tenant_id, second.meter, second.window)
