"""The state of pools in PostgreSQL. A batch is stored with one round trip a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause

from schemas.envelope import parse_data
from schemas.errors import ContractError
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.adapters import rows, statements
from services.scheduler.domain.decision import Decided, NodeChanged, Placed, Released, TenantChanged
from services.scheduler.domain.model import Cause, Input, Reservation
from services.scheduler.domain.snapshot import Snapshot
from services.scheduler.ports import Applied, Pending, SetAside, reservation_of, unreadable


class PostgresPoolStore:
    """Tables `pools`, `nodes`, `tenants`, `reservations`, `allocations`, `decisions`; see `ports.PoolStore`."""

    async def load(self, work: UnitOfWork, pool: str) -> Snapshot:
        """The snapshot as the last committed batch left it."""
        reached = await _fetch(work, statements.POOL, pool=pool)
        places = rows.allocations_by_reservation(await _fetch(work, statements.ALLOCATIONS, pool=pool))
        open_rows = await _fetch(work, statements.OPEN, pool=pool)
        requests = [(row.state, rows.request_from(row)) for row in open_rows]
        return Snapshot(
            pool,
            nodes=[rows.node_of(row) for row in await _fetch(work, statements.NODES, pool=pool)],
            tenants=[rows.tenant_from(row) for row in await _fetch(work, statements.TENANTS, pool=pool)],
            reservations=[
                Reservation(request, places[request.reservation_id])
                for state, request in requests
                if state == "reserved"
            ],
            waiting=[request for state, request in requests if state == "waiting"],
            applied=reached[0].applied if reached else 0,
            decided=reached[0].decided if reached else 0,
        )

    async def pending(self, work: UnitOfWork, pool: str, limit: int) -> list[Pending | SetAside]:
        """Inputs without an `applied` number. One that commits late under a lower id is found later, never lost."""
        return [_pending(row) for row in await _fetch(work, statements.PENDING, pool=pool, limit=limit)]

    async def set_aside(self, work: UnitOfWork, inputs: Sequence[SetAside]) -> None:
        """Writes the reason beside each."""
        marks = [{"tenant_id": item.tenant_id, "id": item.id, "reason": item.reason} for item in inputs]
        await _each(work, statements.MARK_REJECTED, marks)

    async def closed(self, work: UnitOfWork, pool: str, entries: Sequence[Input]) -> set[UUID]:
        """Looks up the reservations that `entries` mention."""
        mentioned = [(entry.tenant_id, reservation_of(entry.data)) for entry in entries]
        wanted = {(tenant, reservation) for tenant, reservation in mentioned if reservation is not None}
        if not wanted:
            return set()
        tenants, reservations = zip(*sorted(wanted), strict=True)
        ids = {"tenants": list(tenants), "reservations": list(reservations)}
        found = await _fetch(work, statements.CLOSED, pool=pool, **ids)
        return {row.reservation_id for row in found}

    async def save(self, work: UnitOfWork, snapshot: Snapshot, applied: Sequence[Applied]) -> None:
        """In an order that stays right within the batch: a reservation may be decided, placed and released in it."""
        pool = snapshot.pool
        await self._save_changes(work, pool, [change for item in applied for change in item.changes])
        outcomes = [recorded.outcome for item in applied for recorded in item.recorded]
        await self._save_decided(work, pool, [one for one in outcomes if isinstance(one, Decided)])
        await self._save_released(work, pool, [one for one in outcomes if isinstance(one, Released)])
        decisions = [rows.decision_row(recorded, item.number) for item in applied for recorded in item.recorded]
        await _each(work, statements.SAVE_DECISION, decisions)
        marks = [{"tenant_id": item.tenant_id, "id": item.id, "number": item.number} for item in applied]
        await _each(work, statements.MARK_APPLIED, marks)
        reached = {"pool": pool, "applied": snapshot.applied, "decided": snapshot.decided}
        await _each(work, statements.SAVE_POOL, [reached])

    async def _save_changes(self, work: UnitOfWork, pool: str, changes: Sequence[NodeChanged | TenantChanged]) -> None:
        nodes = [rows.node_row(pool, one.node, one.rank) for one in changes if isinstance(one, NodeChanged)]
        await _each(work, statements.SAVE_NODE, nodes)
        tenants = [rows.tenant_row(pool, one.tenant) for one in changes if isinstance(one, TenantChanged)]
        await _each(work, statements.SAVE_TENANT, tenants)

    async def _save_decided(self, work: UnitOfWork, pool: str, decided: Sequence[Decided]) -> None:
        await _each(work, statements.SAVE_RESERVATION, [rows.reservation_row(pool, one) for one in decided])
        placed = [(one.request, one.decision) for one in decided if isinstance(one.decision, Placed)]
        await _each(work, statements.SAVE_ALLOCATION, [row for pair in placed for row in rows.allocation_rows(*pair)])

    async def _save_released(self, work: UnitOfWork, pool: str, released: Sequence[Released]) -> None:
        await _each(work, statements.END_RESERVATION, [rows.released_row(pool, one) for one in released])
        await _each(work, statements.DROP_ALLOCATIONS, [rows.released_row(pool, one) for one in released])


def _pending(row: Any) -> Pending | SetAside:
    cause = Cause(row.input_id, row.input_position, row.origin)
    try:
        data = parse_data(row.type, row.data.encode(), lenient=True)
    except ContractError as error:
        return unreadable(row.id, row.tenant_id, cause, error)
    return Pending(row.id, Input(data, row.tenant_id, cause))


async def _fetch(work: UnitOfWork, statement: TextClause, **values: Any) -> Sequence[Any]:
    return (await work.connection.execute(statement, values)).all()


async def _each(work: UnitOfWork, statement: TextClause, values: Sequence[rows.Row]) -> None:
    """Run the statement for each row, in order."""
    if values:
        await work.connection.execute(statement, list(values))
