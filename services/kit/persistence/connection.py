"""A connection of one's own, outside the pool: for what lasts, such as advisory locks and notifications."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from asyncpg import exceptions as pg

from services.kit.errors import TransientError

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
"""After which a statement is given up: a database that hangs must not hold its callers for ever. One that is known to
take longer names its own `timeout`."""
SESSION = {
    "idle_in_transaction_session_timeout": "4s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "plan_cache_mode": "force_custom_plan",
}
"""Settings of each session: the server soon takes back the locks of a process that froze in the middle of a
transaction, or whose machine is gone. A lease's holder must be replaced within ten seconds of either. And it plans
every execution: a plan kept from when a table was empty reads all of it when it is large (docs/decisions/0009)."""

DRIVER_ERRORS = (pg.PostgresError, pg.InterfaceError, pg.InternalClientError, OSError)
"""All that asyncpg raises. An internal client error is how it says that a connection broke in the middle of a call."""


@asynccontextmanager
async def own_connection(dsn: str, **settings: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for the length of the block; raises `TransientError` when it cannot be had or is lost.

    `settings` are further ones of the session.
    """
    try:
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS, server_settings=SESSION | settings
        )
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        await connection.close(timeout=2)
    except DRIVER_ERRORS as error:
        raise TransientError(f"database: {type(error).__name__}: {error}") from error
