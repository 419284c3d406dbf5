"""What deployments hold and wait for, in Postgres."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from services.ingest_api.adapters.tables import ReservationRow
from services.ingest_api.domain.reservation import Reservation
from services.kit.persistence.tenancy import TenantRepository
from services.kit.persistence.unit_of_work import UnitOfWork

COLUMNS = {"reservation_id", "pool", "revision", "stage", "gpu_milli", "allocations", "explanation", "reserved_at"}
"""What has a column of its own; the rest is `details`."""


class PostgresReservations:
    """`ReservationStore`. All of it goes through the ORM, so that what one event changed the next one sees."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work
        self._session = work.session
        self._rows = TenantRepository(work.session, ReservationRow)
        self._absent: set[tuple[UUID | None, UUID]] = set()
        """What was looked for and is not there: a new one needs no second look."""

    async def of_deployment(self, deployment_id: UUID) -> list[Reservation]:
        """See the port."""
        statement = select(ReservationRow).where(ReservationRow.deployment_id == deployment_id)
        order = ReservationRow.revision.nulls_last(), ReservationRow.stage.nulls_last(), ReservationRow.reservation_id
        return [_reservation(row) for row in await self._session.scalars(statement.order_by(*order))]

    async def find(self, reservation_id: UUID) -> Reservation | None:
        """See the port."""
        row = await self._rows.find(reservation_id=reservation_id)
        if row is None:
            self._absent.add((self._work.tenant_id, reservation_id))
            return None
        return _reservation(row)

    async def keep(self, deployment_id: UUID, reservation: Reservation) -> None:
        """See the port."""
        key = self._work.tenant_id, reservation.reservation_id
        row = None if key in self._absent else await self._session.get(ReservationRow, key)
        self._absent.discard(key)
        if row is None:
            row = ReservationRow(reservation_id=reservation.reservation_id, deployment_id=deployment_id)
            self._session.add(row)
        for column, value in reservation.model_dump(include=COLUMNS).items():
            setattr(row, column, value)
        row.allocations = [allocation.model_dump(mode="json") for allocation in reservation.allocations]
        row.details = reservation.model_dump(mode="json", exclude=COLUMNS)
        await self._rows.save()

    async def release(self, reservation_id: UUID) -> None:
        """See the port."""
        row = await self._rows.find(reservation_id=reservation_id)
        if row is not None:
            await self._session.delete(row)
            await self._rows.save()


def _reservation(row: ReservationRow) -> Reservation:
    columns = {column: getattr(row, column) for column in COLUMNS}
    return Reservation.model_validate({**row.details, **columns}, extra="ignore")
