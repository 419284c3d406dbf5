"""In-memory adapters of the scheduler's ports, with transactions that roll back; they pass the contract tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from schemas.envelope import Event, parse_data
from schemas.errors import ContractError
from schemas.placement import ReleaseCapacity
from services.kit.clock import Clock, HeldClock
from services.kit.errors import LeaseLostError
from services.kit.persistence.leases import Lease
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.decision import NodeChanged
from services.scheduler.domain.model import Claim, Input, Node, Request, Reservation, Tenant, Waiting
from services.scheduler.domain.nodes.shape import seen_of
from services.scheduler.domain.policies import Policy
from services.scheduler.domain.pool.remembered import own, stored
from services.scheduler.domain.pool.snapshot import LONG_AGO, Snapshot, Touched
from services.scheduler.ports import Applied, Pending, Recorded, SetAside, reservation_of, unreadable
from tests.fakes.kit.unit_of_work import InMemoryUnitOfWork, transaction
from tests.fakes.scheduler.builders import NOW

Key = tuple[UUID, UUID]
"""Tenant and reservation."""


@dataclass
class Row:
    """One recorded input."""

    pool: str
    entry: Input
    applied: int | None = None
    applied_at: datetime | None = None
    rejected: str | None = None


class Reached(NamedTuple):
    """How far a pool has come."""

    applied: int = 0
    decided: int = 0
    now: datetime = LONG_AGO
    memory: str = ""
    memory_at: int = 0


@dataclass
class Tables:
    """Everything that is stored."""

    inputs: list[Row] = field(default_factory=list)
    nodes: dict[tuple[str, str], tuple[int, Node]] = field(default_factory=dict)
    tenants: dict[tuple[str, UUID], Tenant] = field(default_factory=dict)
    waiting: dict[Key, tuple[str, Waiting]] = field(default_factory=dict)
    reserved: dict[Key, tuple[str, Reservation]] = field(default_factory=dict)
    closed: set[Key] = field(default_factory=set)
    requests: dict[Key, Request] = field(default_factory=dict)
    """All that was ever placed or queued."""
    claims: dict[tuple[str, UUID], Claim] = field(default_factory=dict)
    decisions: list[tuple[int, Recorded]] = field(default_factory=list)
    """With the number of the input that led to each."""
    reached: dict[str, Reached] = field(default_factory=dict)
    events: list[Event[Any]] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)


class FencedUnitOfWork(InMemoryUnitOfWork[Tables]):
    """A transaction on `InMemoryDatabase`, whose leases have epochs."""

    async def fence(self, lease: Lease) -> None:
        """As the real one: the epoch must be the newest."""
        if self.tables.epochs.get(lease.name) != lease.epoch:
            raise LeaseLostError(f"lease {lease.name} is no longer held under epoch {lease.epoch}")


class InMemoryDatabase:
    """Units of work on tables in memory."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.tables = Tables()
        self._clock = clock or HeldClock(NOW)
        self.notified: list[str] = []
        """Pools whose owners would have been notified, in order."""
        self.open = 0
        """Transactions under way."""

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[UnitOfWork]:
        """Commits when the block ends; leaves no trace when it raises."""
        self.open += 1
        try:
            async with transaction(FencedUnitOfWork(self.tables, "scheduler", "scheduler", self._clock)) as work:
                yield work
        finally:
            self.open -= 1

    async def lease(self, name: str) -> Lease:
        """The lease under a new epoch, taken from whoever has it."""
        self.tables.epochs[name] = self.tables.epochs.get(name, 0) + 1
        return Lease(name, "test", self.tables.epochs[name])


class InMemoryInputLog:
    """See `ports.InputLog`."""

    def __init__(self, database: InMemoryDatabase) -> None:
        self._database = database

    async def append(self, work: UnitOfWork, pool: str, entry: Input) -> None:
        self._database.tables.inputs.append(Row(pool, entry))
        work.after_commit(lambda: self._database.notified.append(pool))

    async def pool_of(self, work: UnitOfWork, tenant_id: UUID, reservation_id: UUID) -> str | None:
        for row in self._database.tables.inputs:
            if isinstance(row.entry.data, ReleaseCapacity) or row.entry.tenant_id != tenant_id:
                continue
            if reservation_of(row.entry.data) == reservation_id:
                return row.pool
        return None


class InMemoryPoolStore:
    """See `ports.PoolStore`."""

    def __init__(self, database: InMemoryDatabase) -> None:
        self._database = database

    async def load(self, work: UnitOfWork, pool: str, policy: Policy) -> Callable[[], Snapshot]:
        tables = self._database.tables
        reached = tables.reached.get(pool, Reached())
        memory, memory_at = own(policy, reached.memory, reached.memory_at)
        nodes = sorted((rank, node) for (owner, _), (rank, node) in tables.nodes.items() if owner == pool)
        requests = sorted(tables.requests.values(), key=lambda request: request.arrival)
        return partial(
            Snapshot,
            pool,
            policy,
            nodes=[node for _, node in nodes],
            tenants=[tenant for (owner, _), tenant in tables.tenants.items() if owner == pool],
            reservations=[reservation for owner, reservation in tables.reserved.values() if owner == pool],
            waiting=[waiting for owner, waiting in tables.waiting.values() if owner == pool],
            claims=[claim for (owner, _), claim in sorted(tables.claims.items()) if owner == pool],
            recent=[
                seen_of(each.arrival, each.resources, each.replicas)
                for each in requests
                if each.pool == pool and each.arrival > memory_at
            ],
            **reached._asdict() | {"memory": memory, "memory_at": memory_at},
        )

    async def pending(
        self, work: UnitOfWork, pool: str, limit: int, besides: Sequence[int] = ()
    ) -> list[Pending | SetAside]:
        rows = enumerate(self._database.tables.inputs)
        waiting = [
            (number, row.entry)
            for number, row in rows
            if row.pool == pool and row.applied is None and row.rejected is None and number not in besides
        ]
        return [_read(number, entry) for number, entry in waiting[:limit]]

    async def set_aside(self, work: UnitOfWork, inputs: Sequence[SetAside]) -> None:
        for item in inputs:
            self._database.tables.inputs[item.id].rejected = item.reason

    async def closed(self, work: UnitOfWork, pool: str, entries: Sequence[Input]) -> set[UUID]:
        tables = self._database.tables
        elsewhere = {key for rows in (tables.waiting, tables.reserved) for key, row in rows.items() if row[0] != pool}
        mentioned = {(entry.tenant_id, found) for entry in entries if (found := reservation_of(entry.data))}
        return {reservation_id for _, reservation_id in mentioned & (tables.closed | elsewhere)}

    async def save(self, work: UnitOfWork, snapshot: Snapshot, applied: Sequence[Applied]) -> None:
        tables, pool = self._database.tables, snapshot.pool
        for item in applied:
            if item.id is not None:
                tables.inputs[item.id].applied, tables.inputs[item.id].applied_at = item.number, item.at
            for change in item.changes:
                if isinstance(change, NodeChanged):
                    tables.nodes[pool, change.node.name] = (change.rank, change.node)
                else:
                    tables.tenants[pool, change.tenant.tenant_id] = change.tenant
            tables.decisions += [(item.number, recorded) for recorded in item.recorded]
        for reservation_id, touched in snapshot.touched.items():
            self._keep(snapshot, reservation_id, touched)
        for claimant in snapshot.claims_touched:
            tables.claims.pop((pool, claimant), None)
            if claimant in snapshot.claims:
                tables.claims[pool, claimant] = snapshot.claims[claimant]
        memory = stored(snapshot.policy, snapshot.chooser)
        tables.reached[pool] = Reached(snapshot.applied, snapshot.decided, snapshot.now, memory, snapshot.memory_at)

    def _keep(self, snapshot: Snapshot, reservation_id: UUID, touched: Touched) -> None:
        tables, key = self._database.tables, (touched.tenant_id, reservation_id)
        held, waiting = snapshot.reservations.get(reservation_id), snapshot.queue.find(reservation_id)
        for rows in (tables.reserved, tables.waiting):
            rows.pop(key, None)
        if touched.request is not None:
            tables.requests[key] = touched.request
        if held is not None:
            tables.reserved[key] = (snapshot.pool, held)
        if waiting is not None:
            tables.waiting[key] = (snapshot.pool, waiting)
        if held is None and waiting is None:
            tables.closed.add(key)


def _read(number: int, entry: Input) -> Pending | SetAside:
    """The input, by way of its text, as it is in a database."""
    data = entry.data
    try:
        return Pending(
            number, replace(entry, data=parse_data(data.type, data.model_dump_json().encode(), lenient=True))
        )
    except ContractError as error:
        return unreadable(number, entry.tenant_id, entry.cause, error)
