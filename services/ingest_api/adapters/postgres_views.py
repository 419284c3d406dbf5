"""The read model in Postgres: views and history."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from schemas.envelope import Event, Position
from services.ingest_api.adapters.tables import DeploymentRow, HistoryRow, ViewRow
from services.ingest_api.domain.problems import invalid
from services.ingest_api.domain.read import AsOf, HistoryEntry, Shown, shown
from services.ingest_api.domain.view import DeploymentView, State
from services.ingest_api.ports import Page
from services.kit.persistence.tenancy import TenantRepository
from services.kit.persistence.unit_of_work import UnitOfWork

SHOWN_STATE = case(
    (ViewRow.state == State.REMOVED.value, State.REMOVED.value),
    (DeploymentRow.cancelled_at.is_not(None), State.REMOVING.value),
    (DeploymentRow.revision > ViewRow.revision, State.REQUESTED.value),
    else_=ViewRow.state,
)
"""The view's state, but for what was asked and not folded yet: who waits for a change must not see the old outcome."""

SHOWN = select(ViewRow, SHOWN_STATE.label("state"), DeploymentRow.revision.label("admitted")).outerjoin(
    DeploymentRow,
    and_(ViewRow.tenant_id == DeploymentRow.tenant_id, ViewRow.deployment_id == DeploymentRow.deployment_id),
)

HISTORY_ORDER = (HistoryRow.appended_at, HistoryRow.time, HistoryRow.topic, HistoryRow.offset)
"""The broker's clock first, which all topics share; then the writer's, for what was appended in one millisecond."""


class PostgresViews:
    """`ViewStore`."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work
        self._session = work.session
        self._views = TenantRepository(work.session, ViewRow)

    async def show(self, deployment_id: UUID) -> Shown | None:
        """See the port."""
        statement = SHOWN.where(ViewRow.deployment_id == deployment_id)
        row = (await self._session.execute(statement)).first()
        return None if row is None else _shown(row)

    async def page(self, page: Page, state: str | None, model: str | None) -> list[Shown]:
        """See the port."""
        statement = SHOWN.order_by(ViewRow.deployment_id.desc()).limit(page.limit)
        if page.after is not None:
            statement = statement.where(ViewRow.deployment_id < _uuid(page.after))
        if state is not None:
            statement = statement.where(SHOWN_STATE.in_([state]))
        if model is not None:
            statement = statement.where(ViewRow.model == model)
        return [_shown(row) for row in await self._session.execute(statement)]

    async def history(self, deployment_id: UUID, page: Page) -> list[HistoryEntry]:
        """See the port."""
        statement = select(HistoryRow).where(HistoryRow.deployment_id == deployment_id)
        statement = statement.order_by(*HISTORY_ORDER).limit(page.limit)
        if page.after is not None:
            statement = statement.where(tuple_(*HISTORY_ORDER) > tuple_(*_sort_values(page.after)))
        return [_entry(row) for row in await self._session.scalars(statement)]

    async def newest(self, deployment_id: UUID) -> int:
        """See the port."""
        statement = select(func.max(HistoryRow.number)).where(HistoryRow.deployment_id == deployment_id)
        return await self._session.scalar(statement) or 0

    async def entry(self, deployment_id: UUID, event_id: str) -> HistoryEntry | None:
        """See the port."""
        statement = select(HistoryRow).filter_by(deployment_id=deployment_id, event_id=event_id)
        row = (await self._session.scalars(statement.order_by(HistoryRow.number).limit(1))).first()
        return None if row is None else _entry(row)

    async def news(self, deployment_id: UUID, after: int, limit: int) -> list[HistoryEntry]:
        """See the port."""
        statement = select(HistoryRow).where(HistoryRow.deployment_id == deployment_id, HistoryRow.number > after)
        rows = (await self._session.scalars(statement.order_by(HistoryRow.number).limit(limit))).all()
        return [_entry(row) for row in sorted(rows, key=lambda row: (row.appended_at, row.time, row.topic, row.offset))]

    async def load(self, deployment_id: UUID) -> DeploymentView:
        """See the port."""
        row = await self._views.find(lock=True, deployment_id=deployment_id)
        return DeploymentView(deployment_id=deployment_id) if row is None else DeploymentView.model_validate(row.view)

    async def save(self, view: DeploymentView, event: Event[Any]) -> None:
        """See the port."""
        row = await self._views.find(deployment_id=view.deployment_id)
        if row is None:
            row = view_row(view)
            self._session.add(row)
        else:
            fresh = view_row(view)
            row.name, row.model, row.revision, row.state = fresh.name, fresh.model, fresh.revision, fresh.state
            row.view = fresh.view
        row.as_of_position, row.as_of_time = str(event.position), _position(event).appended_at
        await self._views.save()

    async def add_history(self, deployment_id: UUID, event: Event[Any], words: str) -> None:
        """See the port."""
        position = _position(event)
        values = {
            "tenant_id": self._work.tenant_id,
            "deployment_id": deployment_id,
            "source": event.source,
            "event_id": event.id,
            "type": event.type,
            "words": words,
            "actor": event.actor,
            "time": event.time,
            "appended_at": position.appended_at,
            "topic": position.topic,
            "partition": position.partition,
            "offset": position.offset,
        }
        await self._work.connection.execute(insert(HistoryRow.__table__).values(values).on_conflict_do_nothing())  # type: ignore[arg-type]


def view_row(view: DeploymentView) -> ViewRow:
    """A row of the view, as of nothing yet."""
    return ViewRow(
        deployment_id=view.deployment_id,
        name=view.name,
        model=view.spec.model if view.spec else None,
        revision=view.revision,
        state=view.state.value,
        view=view.model_dump(mode="json"),
    )


def _shown(row: Row[Any]) -> Shown:
    stored, state, admitted = row.ViewRow, row.state, row.admitted
    view = DeploymentView.model_validate(stored.view)
    as_of = AsOf(position=stored.as_of_position, time=stored.as_of_time)
    return shown(view, State(state), max(admitted or 0, view.revision), as_of)


def _entry(row: HistoryRow) -> HistoryEntry:
    return HistoryEntry(
        event_id=row.event_id,
        type=row.type,
        words=row.words,
        actor=row.actor,
        time=row.time,
        appended_at=row.appended_at,
        position=f"{row.topic}/{row.partition}/{row.offset}",
        number=row.number,
        sort_key=f"{row.appended_at.isoformat()} {row.time.isoformat()} {row.topic} {row.offset}",
    )


def _sort_values(key: str) -> tuple[datetime, datetime, str, int]:
    try:
        appended_at, time, topic, offset = key.split(" ")
        values = datetime.fromisoformat(appended_at), datetime.fromisoformat(time), topic, int(offset)
        if not 0 <= values[3] < 2**63:
            raise ValueError("no offset")
        return values
    except ValueError:
        raise _foreign_cursor() from None


def _uuid(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise _foreign_cursor() from None


def _foreign_cursor() -> Exception:
    return invalid("", "cursor: it is of another list; use the `next` link of this one")


def _position(event: Event[Any]) -> Position:
    if event.position is None:
        raise ValueError("the event was not read from Kafka")
    return event.position
