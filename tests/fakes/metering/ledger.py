"""The ledger, the stream's table, keys and dead letters of one test, in memory."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date
from uuid import UUID

from schemas.quota import QuotaEvent
from schemas.tenant import Limit, Meter, Window
from services.kit.errors import PermanentError
from services.kit.messaging.dead_letters import Defect, TripWire
from services.kit.messaging.origin import Origin
from services.kit.messaging.record import Record
from services.kit.persistence.unit_of_work import UnitOfWork
from services.metering.domain.model import LimitedUse, Plan, Producer, Report, Total, TotalKey
from services.metering.domain.totals import DUPLICATES

Place = tuple[int, int]
"""Source partition and offset."""


@dataclass
class Rows:
    """What is committed."""

    raw: dict[tuple[UUID, str, str], tuple[Place, date, dict[str, int]]] = field(default_factory=dict)
    totals: dict[TotalKey, Total] = field(default_factory=dict)
    limits: dict[UUID, tuple[Limit, ...]] = field(default_factory=dict)
    said: dict[tuple[UUID, str, str, date, str], tuple[QuotaEvent, Origin]] = field(default_factory=dict)


class InMemoryAccounts:
    """The `Accounts` and `Books`. `reached` is called at each step by name, and may raise to break off there."""

    def __init__(self, reached: Callable[[str], None] = lambda _: None) -> None:
        self.rows = Rows()
        self.reached = reached

    @asynccontextmanager
    async def open(self) -> AsyncIterator[InMemoryAccount]:
        """See `Accounts.open`."""
        rows = copy.deepcopy(self.rows)
        yield InMemoryAccount(rows, self.reached)
        self.reached("before commit")
        self.rows = rows
        self.reached("after commit")

    @property
    def said(self) -> list[QuotaEvent]:
        """All that was announced, in order."""
        return [event for event, _ in self.rows.said.values()]

    async def set_limits(self, tenant_id: UUID, *limits: Limit) -> None:
        """What the tenant is measured by."""
        self.rows.limits[tenant_id] = limits

    async def all_totals(self) -> Sequence[tuple[TotalKey, Total]]:
        """See `Books.all_totals`."""
        return list(self.rows.totals.items())

    async def drift(self, since: date) -> Mapping[str, int]:
        """See `Books.drift`."""
        apart: dict[tuple[UUID, str, date], int] = defaultdict(int)
        for (tenant_id, _, _), (_, day, amounts) in self.rows.raw.items():
            for meter, amount in amounts.items():
                apart[tenant_id, meter, day] += amount
        for key, total in self.rows.totals.items():
            if key.window is Window.DAY and key.meter != DUPLICATES:
                apart[key.tenant_id, key.meter, key.window_start] -= total.total
        drift = {meter.value: 0 for meter in Meter}
        for (_, meter, day), difference in apart.items():
            drift[meter] += abs(difference) if day >= since else 0
        return drift


class InMemoryAccount:
    """An open transaction on a copy of the rows."""

    def __init__(self, rows: Rows, reached: Callable[[str], None]) -> None:
        self._rows = rows
        self._reached = reached

    async def accept(self, report: Report) -> frozenset[str]:
        """See `Account.accept`."""
        self._reached("before accept")
        place = (report.partition, report.offset)
        accepted = set()
        for sample in report.samples:
            day = sample.time.astimezone(UTC).date()
            row = (place, day, {meter.value: amount for meter, amount in sample.amounts.items()})
            if self._rows.raw.setdefault((report.tenant_id, report.source, sample.id), row)[0] == place:
                accepted.add(sample.id)
        return frozenset(accepted)

    async def totals(self, keys: Collection[TotalKey]) -> dict[TotalKey, Total]:
        """See `Account.totals`."""
        return {key: self._rows.totals[key] for key in keys if key in self._rows.totals}

    async def write(self, totals: Mapping[TotalKey, Total]) -> None:
        """See `Account.write`."""
        self._reached("before write")
        for key, total in totals.items():
            if key not in self._rows.totals or self._rows.totals[key].hi < total.hi:
                self._rows.totals[key] = total

    async def limited(self, keys: Collection[TotalKey]) -> list[LimitedUse]:
        """See `Account.limited`."""
        uses = {}
        for key in keys:
            for limit in self._rows.limits.get(key.tenant_id, ()):
                if (limit.meter, limit.window) == (key.meter, key.window):
                    uses[limit.meter, limit.window, key.window_start] = LimitedUse(
                        limit, key.window_start, self._settled(key)
                    )
        return [uses[place] for place in sorted(uses)]

    async def announce(self, name: str, event: QuotaEvent, origin: Origin) -> bool:
        """See `Account.announce`."""
        place = (event.tenant_id, event.meter.value, event.window.value, event.window_start.date(), name)
        if place in self._rows.said:
            return False
        self._rows.said[place] = (event, origin)
        return True

    def _settled(self, key: TotalKey) -> int:
        wanted = (key.tenant_id, key.meter, key.window, key.window_start)
        return sum(
            total.total
            for other, total in self._rows.totals.items()
            if (other.tenant_id, other.meter, other.window, other.window_start) == wanted
        )


class InMemoryTotals:
    """The `Totals`: a table whose changelog is the list of its writes."""

    def __init__(self, reached: Callable[[str], None] = lambda _: None) -> None:
        self._reached = reached
        self.writes: list[tuple[TotalKey, Total]] = []
        self._now: dict[TotalKey, Total] = {}

    def get(self, key: TotalKey) -> Total | None:
        """See `Totals.get`."""
        return self._now.get(key)

    def put(self, key: TotalKey, total: Total) -> None:
        """See `Totals.put`."""
        self._reached("before put")
        self.writes.append((key, total))
        self._now[key] = total

    def recover(self, lost: int) -> None:
        """Rebuild from the changelog, whose last `lost` writes never reached Kafka."""
        self.writes = self.writes[: len(self.writes) - lost]
        self._now = dict(self.writes)


class InMemoryProducers:
    """The `Producers` and the `TenantBook`, less the plans."""

    def __init__(self, *producers: Producer) -> None:
        self.known = {producer.key_id: producer for producer in producers}
        self.looked_up = 0

    async def find(self, key_id: str) -> Producer | None:
        """See `Producers.find`."""
        self.looked_up += 1
        return self.known.get(key_id)


class InMemoryTenantBook:
    """The `TenantBook`."""

    def __init__(self) -> None:
        self.producers: dict[str, Producer] = {}
        self.plans: dict[UUID, Plan] = {}

    async def register(self, work: UnitOfWork, producer: Producer) -> None:
        """See `TenantBook.register`."""
        known = self.producers.setdefault(producer.key_id, producer)
        if known.tenant_id != producer.tenant_id:
            raise PermanentError("taken")
        self.producers[producer.key_id] = producer

    async def revoke(self, work: UnitOfWork, key_id: str) -> None:
        """See `TenantBook.revoke`."""
        self.producers.pop(key_id, None)

    async def set_plan(self, work: UnitOfWork, plan: Plan) -> None:
        """See `TenantBook.set_plan`."""
        self.plans[plan.tenant_id] = plan


class InMemoryDeadLetters:
    """The `SetAside`. `failures` are raised first, one at each call."""

    def __init__(self, trip_wire: TripWire | None = None) -> None:
        self.trip_wire = trip_wire or TripWire()
        self.letters: list[tuple[Record, Defect]] = []
        self.failures: list[Exception] = []

    async def set_aside(self, record: Record, defect: Defect) -> None:
        """See `SetAside.set_aside`."""
        if self.failures:
            raise self.failures.pop(0)
        if defect.is_our_fault:
            self.trip_wire.check()
            self.trip_wire.set_aside()
        self.letters.append((record, defect))

    @property
    def reasons(self) -> list[str]:
        """Error types, in order."""
        return [defect.error_type for _, defect in self.letters]
