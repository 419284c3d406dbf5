"""The lease table of one service, in memory: the statements of `services.kit.persistence.leases` on a dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from services.kit.errors import TransientError
from services.kit.persistence.database import Database
from services.kit.persistence.leases import ACQUIRE, FENCE, RELEASE, RENEW
from tests.fakes.kit.clock import HeldSeconds


@dataclass
class Row:
    """One lease."""

    holder: str
    epoch: int
    expires_at: float


class Answer:
    """What a statement returned."""

    def __init__(self, epoch: int | None) -> None:
        self._epoch = epoch

    def first(self) -> Any:
        """The only row, or None."""
        return None if self._epoch is None else SimpleNamespace(epoch=self._epoch)


class InMemoryLeases:
    """A database of which only the lease table is asked; `database` gives it to the code under test."""

    def __init__(self, now: HeldSeconds | None = None) -> None:
        self.rows: dict[str, Row] = {}
        self.is_away = False
        """Whether no transaction can be opened."""
        self.refused = 0
        """How many could not be, so far."""
        self.failing: set[Any] = set()
        """The statements that fail for now."""
        self.calls: list[Any] = []
        """The statements so far."""
        self._now = now or HeldSeconds()

    @property
    def database(self) -> Database:
        """As a service's database."""
        return cast(Database, self)

    def take_over(self, name: str, holder: str = "somebody else") -> None:
        """Somebody else has it from now on, as after its time ran out."""
        self.rows[name] = Row(holder, self.rows[name].epoch + 1, self._now() + 6)

    @asynccontextmanager
    async def unit_of_work(self, tenant_id: UUID | None = None) -> AsyncIterator[Any]:
        """A transaction; other tasks run before it, as before an answer of a server."""
        await asyncio.sleep(0)
        if self.is_away:
            self.refused += 1
            raise TransientError("database: away")
        yield SimpleNamespace(connection=self)

    async def execute(self, statement: Any, given: Mapping[str, Any]) -> Answer:
        """One of the four statements."""
        self.calls.append(statement)
        if statement in self.failing:
            raise TransientError("database: connection lost")
        by = {ACQUIRE: self._acquire, RENEW: self._renew, RELEASE: self._release, FENCE: self._fence}
        return Answer(by[statement](given))

    async def close(self) -> None:
        """Nothing is open."""

    def _acquire(self, given: Mapping[str, Any]) -> int | None:
        row = self.rows.get(given["name"])
        if row is not None and row.expires_at >= self._now():
            return None
        epoch = row.epoch + 1 if row else 1
        self.rows[given["name"]] = Row(given["holder"], epoch, self._now() + given["ttl"])
        return epoch

    def _renew(self, given: Mapping[str, Any]) -> int | None:
        row = self._own(given)
        if row is None:
            return None
        row.expires_at = self._now() + given["ttl"]
        return row.epoch

    def _release(self, given: Mapping[str, Any]) -> None:
        row = self._own(given)
        if row is not None:
            row.expires_at = float("-inf")

    def _fence(self, given: Mapping[str, Any]) -> int | None:
        row = self.rows.get(given["name"])
        return row.epoch if row is not None and row.epoch == given["epoch"] else None

    def _own(self, given: Mapping[str, Any]) -> Row | None:
        row = self.rows.get(given["name"])
        is_own = row is not None and (row.epoch, row.holder) == (given["epoch"], given["holder"])
        return row if is_own else None
