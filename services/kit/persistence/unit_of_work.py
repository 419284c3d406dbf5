"""One transaction: what a handler saves and what it says are committed together, or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from schemas.base import EventT
from schemas.envelope import Event
from services.kit.checkpoints import Checkpoint, Reached, pass_by
from services.kit.clock import Clock
from services.kit.errors import LeaseLostError
from services.kit.ids import new_id
from services.kit.messaging.origin import Origin
from services.kit.persistence import outbox
from services.kit.persistence.leases import FENCE, Lease

BEGIN = text("SELECT 1")
"""Any statement through SQLAlchemy opens the transaction."""
SET_TENANT = text("SELECT set_config('taxiway.tenant_id', :tenant, true)")


class UnitOfWork:
    """An open transaction of one service. Handlers use it and never commit; `Database.unit_of_work` does."""

    def __init__(
        self, connection: AsyncConnection, source: str, schema: str, clock: Clock, reached: Reached = pass_by
    ) -> None:
        self.connection = connection
        """For SQLAlchemy Core statements."""
        self.tenant_id: UUID | None = None
        """Tenant that this transaction speaks for; None before `act_for`."""
        self._source = source
        self._schema = schema
        self._clock = clock
        self._reached = reached
        self._driver: Any = None
        self._has_begun = False
        """Whether a statement through SQLAlchemy has opened the transaction for certain."""
        self._session: AsyncSession | None = None
        self._events: list[Event[Any]] = []
        self._before_commit: list[Callable[[UnitOfWork], Awaitable[None]]] = []
        self._after_commit: list[Callable[[], None]] = []

    @property
    def session(self) -> AsyncSession:
        """The ORM on the same connection and transaction, made at first use."""
        if self._session is None:
            self._session = AsyncSession(
                bind=self.connection, expire_on_commit=False, join_transaction_mode="control_fully"
            )
            self._session.sync_session.info["unit_of_work"] = self
        return self._session

    async def act_for(self, tenant_id: UUID) -> None:
        """From here on row-level security shows and takes only rows of `tenant_id`, until commit."""
        await self.connection.execute(SET_TENANT, {"tenant": str(tenant_id)})
        self.tenant_id = tenant_id

    async def fence(self, lease: Lease) -> None:
        """Hold the lease's row until commit; raises `LeaseLostError` when somebody took it over."""
        found = await self.connection.execute(FENCE, {"name": lease.name, "epoch": lease.epoch})
        self._has_begun = True
        if found.first() is None:
            raise LeaseLostError(f"lease {lease.name} is no longer held under epoch {lease.epoch}")
        self._reached(Checkpoint.LEASE_FENCED)

    def emit(self, data: EventT, origin: Origin) -> Event[EventT]:
        """Say `data` when this transaction commits. Its sequence is drawn just before the commit."""
        event = Event(
            id=str(new_id()),
            source=self._source,
            time=self._clock.now(),
            data=data,
            tenantid=str(origin.tenant_id) if origin.tenant_id else None,
            actor=origin.actor,
            correlationid=origin.correlation_id,
            causationid=origin.causation_id,
            traceparent=origin.traceparent,
        )
        self._events.append(event)
        return event

    def before_commit(self, call: Callable[[UnitOfWork], Awaitable[None]]) -> None:
        """Await `call` with this transaction just before it commits: for what many handlers add to and one statement
        writes. Not at all when it is rolled back."""
        self._before_commit.append(call)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call `call` once the transaction is committed; not at all when it is rolled back."""
        self._after_commit.append(call)

    async def driver(self) -> Any:
        """The asyncpg connection below, for the plumbing's own batch statements.

        SQLAlchemy sends BEGIN with its first own statement only. What went straight to the driver before that would be
        committed by itself: a crash after the claim then lost the message. So BEGIN comes first.
        """
        if self._driver is None:
            if not self._has_begun:
                await self.connection.execute(BEGIN)
            self._driver = (await self.connection.get_raw_connection()).driver_connection
        return self._driver

    async def flush(self) -> None:
        """Write what was collected and the ORM's pending changes, append the events; called just before the commit."""
        await self.write_collected()
        if self._session is not None:
            await self._session.flush()
        self._reached(Checkpoint.AFTER_SAVE)
        if self._events:
            await outbox.append(await self.driver(), self._schema, self._events)
            self._events = []
        self._reached(Checkpoint.AFTER_OUTBOX)

    async def write_collected(self) -> None:
        """Run what waited for the end of the transaction."""
        for call in self._before_commit:
            await call(self)
        self._before_commit.clear()

    def committed(self) -> None:
        """Run what waited for the commit."""
        self._reached(Checkpoint.AFTER_COMMIT)
        for call in self._after_commit:
            call()
