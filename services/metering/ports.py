"""What metering needs from outside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import Protocol

from schemas.quota import QuotaEvent
from services.kit.messaging.dead_letters import Defect, TripWire
from services.kit.messaging.origin import Origin
from services.kit.messaging.record import Record
from services.kit.persistence.unit_of_work import UnitOfWork
from services.metering.domain.model import LimitedUse, Plan, Producer, Report, Total, TotalKey


class Account(Protocol):
    """One open transaction of the ledger; all of it is kept, or nothing."""

    async def accept(self, report: Report) -> frozenset[str]:
        """Keep the raw samples; returns the ids of those that no other record brought before.

        The same record again gives the same answer.
        """

    async def totals(self, keys: Collection[TotalKey]) -> dict[TotalKey, Total]:
        """What the ledger has; keys without a total are absent."""

    async def write(self, totals: Mapping[TotalKey, Total]) -> None:
        """Put the totals down, except where the ledger counts that far already."""

    async def limited(self, keys: Collection[TotalKey]) -> list[LimitedUse]:
        """The limits that the keys fall under, with what is settled now. All keys are of one tenant."""

    async def announce(self, name: str, event: QuotaEvent, origin: Origin) -> bool:
        """Say `event` with this transaction, unless `name` was said of its limit and window before."""


class Accounts(Protocol):
    """The ledger."""

    def open(self) -> AbstractAsyncContextManager[Account]:
        """A transaction that commits when the block ends. Raises `TransientError` when the database is away."""


class Totals(Protocol):
    """The stream's own table of totals. It may be behind the ledger, and stale after partitions have moved."""

    def get(self, key: TotalKey) -> Total | None:
        """What it has."""

    def put(self, key: TotalKey, total: Total) -> None:
        """Total and offset in one changelog record; only while the record that moved it is handled."""


class Producers(Protocol):
    """The registered keys."""

    async def find(self, key_id: str) -> Producer | None:
        """The key, unless it is unknown or revoked. Raises `TransientError`."""


class TenantBook(Protocol):
    """Where tenant events are noted, each within the transaction of its message."""

    async def register(self, work: UnitOfWork, producer: Producer) -> None:
        """Believe the key from now on; raises `PermanentError` when another tenant has one of that id."""

    async def revoke(self, work: UnitOfWork, key_id: str) -> None:
        """Believe it no longer."""

    async def set_plan(self, work: UnitOfWork, plan: Plan) -> None:
        """Measure the tenant by these limits from now on."""


class Books(Protocol):
    """The ledger as a whole, for reconciliation and for rebuilding what was lost."""

    async def all_totals(self) -> Sequence[tuple[TotalKey, Total]]:
        """Everything that is settled."""

    async def drift(self, since: date) -> Mapping[str, int]:
        """How far raw sums and totals of the days from `since` on are apart, by meter; 0 where they agree."""


class SetAside(Protocol):
    """Takes what cannot be counted; `DeadLetters` does."""

    trip_wire: TripWire
    """Told of each record that was counted."""

    async def set_aside(self, record: Record, defect: Defect) -> None:
        """Keep the record and the reason. Raises `TransientError`, or `TripWireError` when it is too much."""


class Reader(Protocol):
    """Handles the records of one stream, partition by partition in order."""

    async def count(self, record: Record) -> None:
        """Handle it to its end. Raises only what must stop the stream."""

    def forget(self, partitions: Iterable[int]) -> None:
        """The partitions have just been assigned: somebody else may have counted on them meanwhile."""
