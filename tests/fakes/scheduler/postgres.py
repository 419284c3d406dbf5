"""A database of its own for a test session: the roles and the migrations of the scheduler, on the local Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import asyncpg

from services.kit.persistence import roles
from services.kit.persistence.migrate import upgrade

PASSWORD = "scheduler"


@dataclass(frozen=True)
class SchedulerDatabase:
    """DSNs of one database."""

    owner_dsn: str
    worker_dsn: str
    app_dsn: str

    async def empty(self) -> None:
        """Leave the tables and nothing in them."""
        connection = await asyncpg.connect(self.owner_dsn)
        try:
            found = await connection.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'scheduler' AND tablename <> 'alembic_version'"
            )
            names = ", ".join(row["tablename"] for row in found)
            await connection.execute(f"TRUNCATE {names} CASCADE")
        finally:
            await connection.close()


def make_database(admin_dsn: str, revision: str = "head") -> SchedulerDatabase:
    """Create and migrate a fresh database, to the newest release's tables or to those of an older one. Not from within
    an event loop. Every call must use the same `PASSWORD`."""
    name = f"scheduler_{uuid4().hex[:12]}"
    asyncio.run(roles.provision(admin_dsn, lambda _: PASSWORD, ["scheduler"], name))
    owner, worker, app = (
        roles.dsn_for(admin_dsn, roles.role_name("scheduler", part), PASSWORD, name)
        for part in ("owner", "worker", "app")
    )
    upgrade("scheduler", owner, revision)
    return SchedulerDatabase(owner, worker, app)
