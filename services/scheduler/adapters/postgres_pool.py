"""The state of pools in PostgreSQL. A batch is stored with one statement, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause

from schemas.envelope import parse_data
from schemas.errors import ContractError
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.adapters import requests, rows, statements
from services.scheduler.domain.decision import Change, NodeChanged, TenantChanged
from services.scheduler.domain.model import Cause, Input
from services.scheduler.domain.policies import Policy
from services.scheduler.domain.pool.remembered import own
from services.scheduler.domain.pool.snapshot import LONG_AGO, Snapshot
from services.scheduler.ports import Applied, Pending, SetAside, reservation_of, unreadable

Rows = Sequence[Any]
"""As SQLAlchemy fetches them."""


class PostgresPoolStore:
    """Tables `pools`, `nodes`, `tenants`, `reservations`, `claims`, `decisions`; see `ports.PoolStore`."""

    async def load(self, work: UnitOfWork, pool: str, policy: Policy) -> Callable[[], Snapshot]:
        """The snapshot as the last committed batch left it."""
        found = await _fetch(work, statements.POOL, pool=pool)
        reached = found[0] if found else None
        memory, memory_at = own(policy, reached.memory, reached.memory_at) if reached else ("", 0)
        stored = _Stored(
            reached,
            nodes=await _fetch(work, statements.NODES, pool=pool),
            tenants=await _fetch(work, statements.TENANTS, pool=pool),
            reservations=await _fetch(work, statements.OPEN, pool=pool),
            claims=await _fetch(work, statements.CLAIMS, pool=pool),
            recent=await _fetch(work, statements.RECENT, pool=pool, memory_at=memory_at),
        )
        return partial(stored.snapshot, pool, policy, memory, memory_at)

    async def pending(
        self, work: UnitOfWork, pool: str, limit: int, besides: Sequence[int] = ()
    ) -> list[Pending | SetAside]:
        """Inputs without an `applied` number. One that commits late under a lower id is found later, never lost."""
        driver = await work.driver()
        return [_pending(row) for row in await driver.fetch(statements.PENDING, pool, limit, list(besides))]

    async def set_aside(self, work: UnitOfWork, inputs: Sequence[SetAside]) -> None:
        """Writes the reason beside each."""
        await _write(work, statements.MARK_REJECTED, [(item.tenant_id, item.id, item.reason) for item in inputs])

    async def closed(self, work: UnitOfWork, pool: str, entries: Sequence[Input]) -> set[UUID]:
        """Looks up the reservations that `entries` mention."""
        mentioned = [(entry.tenant_id, reservation_of(entry.data)) for entry in entries]
        wanted = {(tenant, reservation) for tenant, reservation in mentioned if reservation is not None}
        if not wanted:
            return set()
        driver = await work.driver()
        found = await driver.fetch(statements.CLOSED, pool, *statements.columns(sorted(wanted), 2))
        return {row["reservation_id"] for row in found}

    async def save(self, work: UnitOfWork, snapshot: Snapshot, applied: Sequence[Applied]) -> None:
        """Absolute states of what was touched, so that it does not matter what happened in between."""
        await self._save_changes(work, snapshot.pool, [change for item in applied for change in item.changes])
        await self._save_claims(work, snapshot)
        first = min((item.number for item in applied), default=snapshot.applied)
        touched = [rows.reservation_row(snapshot, reservation_id, first) for reservation_id in snapshot.touched]
        decisions = [rows.decision_row(recorded, item.number) for item in applied for recorded in item.recorded]
        marks = [(item.tenant_id, item.id, item.number, item.at) for item in applied if item.id is not None]
        batch, driver = statements.SAVE_BATCH, await work.driver()
        await driver.execute(batch.sql, *batch.parameters(touched, decisions, marks), *rows.pool_row(snapshot))

    async def _save_changes(self, work: UnitOfWork, pool: str, changes: Sequence[Change]) -> None:
        nodes = [rows.node_row(pool, one.node, one.rank) for one in changes if isinstance(one, NodeChanged)]
        await _write(work, statements.SAVE_NODES, nodes)
        tenants = [rows.tenant_row(pool, one.tenant) for one in changes if isinstance(one, TenantChanged)]
        await _write(work, statements.SAVE_TENANTS, tenants)

    async def _save_claims(self, work: UnitOfWork, snapshot: Snapshot) -> None:
        kept, dropped = [], []
        for claimant in sorted(snapshot.claims_touched):
            claim, request = snapshot.claims.get(claimant), snapshot.request(claimant)
            if claim is None or request is None:
                dropped.append(claimant)
            else:
                kept.append(rows.claim_row(snapshot.pool, request.tenant_id, claim))
        if dropped:
            driver = await work.driver()
            await driver.execute(statements.DROP_CLAIMS, snapshot.pool, dropped)
        await _write(work, statements.SAVE_CLAIMS, kept)


class _Stored(NamedTuple):
    """The rows of a pool."""

    reached: Any
    """None when the pool is unknown."""
    nodes: Rows
    tenants: Rows
    reservations: Rows
    claims: Rows
    recent: Rows
    """The newest first."""

    def snapshot(self, pool: str, policy: Policy, memory: str, memory_at: int) -> Snapshot:
        """What they say."""
        return Snapshot(
            pool,
            policy,
            nodes=[rows.node_of(row) for row in self.nodes],
            tenants=[rows.tenant_from(row) for row in self.tenants],
            reservations=[requests.reservation_from(row) for row in self.reservations if row.state == "reserved"],
            waiting=[requests.waiting_from(row) for row in self.reservations if row.waiting],
            claims=[requests.claim_from(row) for row in self.claims],
            memory=memory,
            memory_at=memory_at,
            recent=[requests.seen_from(row) for row in reversed(self.recent)],
            now=self.reached.now if self.reached else LONG_AGO,
            applied=self.reached.applied if self.reached else 0,
            decided=self.reached.decided if self.reached else 0,
        )


def _pending(row: Any) -> Pending | SetAside:
    cause = Cause(row["input_id"], row["input_position"], row["origin"])
    try:
        data = parse_data(row["type"], row["data"].encode(), lenient=True)
    except ContractError as error:
        return unreadable(row["id"], row["tenant_id"], cause, error)
    return Pending(row["id"], Input(data, row["tenant_id"], cause))


async def _fetch(work: UnitOfWork, statement: TextClause, **values: Any) -> Rows:
    return (await work.connection.execute(statement, values)).all()


async def _write(work: UnitOfWork, statement: str, values: Sequence[rows.Row]) -> None:
    """Run the statement for all rows at once, if there are any."""
    if values:
        driver = await work.driver()
        await driver.execute(statement, *statements.columns(values, len(values[0])))
