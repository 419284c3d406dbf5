"""The second belt of tenant isolation, in the ORM: the first is row-level security in the database.

A model that mixes in `TenantMixin` belongs to a tenant. Every ORM statement that touches such a model is narrowed to
the tenant of its unit of work, wherever in the statement the model stands, and every object that is flushed must belong
to it. Without a tenant the statement raises instead of showing everything. What really is about all tenants (looking up
who calls) says so: `execution_options(across_tenants=True)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import ClauseElement, ColumnElement, FromClause, Select, event, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria
from sqlalchemy.sql import visitors

from services.kit.errors import TaxiwayError

ACROSS_TENANTS = "across_tenants"
"""Execution option of a statement that is meant to see all tenants."""


class MissingTenantError(TaxiwayError):
    """A statement or object of a tenant's table, in a unit of work that speaks for no tenant."""


class ForeignTenantError(TaxiwayError):
    """An object of another tenant was about to be written."""


class TenantMixin:
    """A row that belongs to one tenant; the tenant leads its primary key."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)


def tenant_of(session: Session) -> UUID | None:
    """The tenant that the session's unit of work speaks for."""
    work = session.info.get("unit_of_work")
    return None if work is None else work.tenant_id


@event.listens_for(Session, "do_orm_execute")
def _narrow(state: ORMExecuteState) -> None:
    """Add the tenant to every statement that touches a tenant's table."""
    if state.is_column_load or state.is_relationship_load or state.execution_options.get(ACROSS_TENANTS):
        return
    if not _touches_tenants(state):
        return
    if state.is_insert:
        raise TypeError("insert a tenant's row by adding an object: an INSERT statement cannot be narrowed to a tenant")
    tenant = _require(state.session)
    state.statement = state.statement.options(
        with_loader_criteria(TenantMixin, lambda model: model.tenant_id == tenant, include_aliases=True)
    )


def _touches_tenants(state: ORMExecuteState) -> bool:
    elements = visitors.iterate(cast(ClauseElement, state.statement))
    return any(isinstance(element, FromClause) and "tenant_id" in element.c for element in elements)


@event.listens_for(Session, "before_flush")
def _check_objects(session: Session, *_: Any) -> None:
    """New objects get the tenant; an object of another tenant is an error."""
    touched = [row for row in (*session.new, *session.dirty, *session.deleted) if isinstance(row, TenantMixin)]
    for row in touched:
        tenant = _require(session)
        if row.tenant_id is None:
            row.tenant_id = tenant
        if row.tenant_id != tenant:
            raise ForeignTenantError(f"{type(row).__name__} of another tenant")


def _require(session: Session) -> UUID:
    tenant = tenant_of(session)
    if tenant is None:
        raise MissingTenantError("this unit of work speaks for no tenant: call act_for first")
    return tenant


RowT = TypeVar("RowT", bound=TenantMixin)


class TenantRepository(Generic[RowT]):
    """The usual verbs on one model, for the tenant of the unit of work."""

    def __init__(self, session: AsyncSession, model: type[RowT]) -> None:
        self.session = session
        self.model = model

    async def add(self, row: RowT) -> None:
        """Insert the row now; raises SQLAlchemy's IntegrityError when it is there already."""
        self.session.add(row)
        await self.session.flush()

    async def save(self) -> None:
        """Write what was changed on rows that were found."""
        await self.session.flush()

    async def find(self, *, lock: bool = False, **equal: Any) -> RowT | None:
        """The row with these values; with `lock` nobody else changes it before this transaction ends."""
        statement = select(self.model).filter_by(**equal)
        return await self.session.scalar(statement.with_for_update() if lock else statement)

    async def page(
        self,
        order: InstrumentedAttribute[Any],
        *where: ColumnElement[bool],
        after: Any | None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[RowT]:
        """Up to `limit` rows by `order`, those beyond `after` when it is given."""
        statement: Select[RowT] = select(self.model).where(*where).limit(limit)
        statement = statement.order_by(order.desc() if newest_first else order)
        if after is not None:
            statement = statement.where(order < after if newest_first else order > after)
        return (await self.session.scalars(statement)).all()
