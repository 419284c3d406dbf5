"""A service's database: one pool, one role, one schema; transactions as units of work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import UUID

from asyncpg import exceptions as pg
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.kit.checkpoints import Reached, pass_by
from services.kit.clock import Clock, SystemClock
from services.kit.errors import TransientError
from services.kit.persistence.connection import CONNECT_SECONDS, DRIVER_ERRORS, SESSION, STATEMENT_SECONDS
from services.kit.persistence.unit_of_work import UnitOfWork
from services.kit.resilience import Breaker

TRANSIENT_CLASSES = ("08", "40", "53", "57")
"""SQLSTATE classes that may pass: connection, transaction rollback (deadlock), resources, operator intervention."""

AWAY_CLASSES = ("08", "57P")
"""Those that say the server, and not this transaction, is the matter."""
IDLE_IN_TRANSACTION = "25P03"


class DatabaseAwayError(TransientError):
    """The database cannot be reached, hangs, or closed the connection."""


def schema_of(dsn: str) -> str:
    """The schema of a role named `taxiway_<schema>_<part>`."""
    user = urlsplit(dsn).username or ""
    return user.removeprefix("taxiway_").rpartition("_")[0]


class Database:
    """Opens units of work on the database of one service."""

    def __init__(
        self,
        dsn: str,
        source: str,
        *,
        pool_size: int = 5,
        clock: Clock | None = None,
        reached: Reached = pass_by,
        breaker: Breaker | None = None,
    ) -> None:
        self.dsn = dsn
        """`postgresql://user:password@host:port/database`; holds a secret, never log it."""
        self.source = source
        """CloudEvents source of what this service emits."""
        self.schema = schema_of(dsn)
        """The service's own Postgres schema."""
        self._clock = clock or SystemClock()
        self._reached = reached
        self._engine = _engine(dsn, source, pool_size)
        self.breaker = breaker or Breaker("postgres", failures=(DatabaseAwayError,))
        """Opens when the server is away; to be shared by all databases of a process on one server."""

    @asynccontextmanager
    async def unit_of_work(self, tenant_id: UUID | None = None) -> AsyncIterator[UnitOfWork]:
        """A transaction that commits when the block ends and rolls back when it raises.

        With `tenant_id` it speaks for that tenant alone. Raises `TransientError` when the database is away or gave up
        the transaction; everything else passes through.
        """
        with self.breaker.watching():
            try:
                async with self._engine.begin() as connection:
                    work = UnitOfWork(connection, self.source, self.schema, self._clock, self._reached)
                    if tenant_id is not None:
                        await work.act_for(tenant_id)
                    yield work
                    await work.flush()
            except (DBAPIError, PoolTimeoutError, *DRIVER_ERRORS) as error:
                if (transient := transient_of(error)) is None:
                    raise
                raise transient from error
        work.committed()

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()


def _engine(dsn: str, source: str, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        dsn.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": STATEMENT_SECONDS,
            "server_settings": {"application_name": source.strip("/"), **SESSION},
        },
    )


def transient_of(error: Exception) -> TransientError | None:
    """What to raise when the same transaction may succeed later; None when it never will."""
    text = f"database: {type(error).__name__}: {first_line(error)}"
    if is_away(error):
        return DatabaseAwayError(text)
    state = sqlstate_of(error)
    if isinstance(error, PoolTimeoutError) or state.startswith(TRANSIENT_CLASSES) or state == IDLE_IN_TRANSACTION:
        return TransientError(text)
    return None


def is_away(error: BaseException) -> bool:
    """Whether the server is away, as against a transaction that it gave up, or a pool that is used up."""
    if isinstance(error, DBAPIError) and (error.connection_invalidated or isinstance(error, InterfaceError)):
        return True
    if isinstance(error, OSError | pg.InterfaceError | pg.InternalClientError):
        return True
    return sqlstate_of(error).startswith(AWAY_CLASSES)


def sqlstate_of(error: BaseException) -> str:
    """The server's code; empty when it said nothing."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def first_line(error: BaseException) -> str:
    """The first line of the error's text, without the statement that SQLAlchemy adds."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
