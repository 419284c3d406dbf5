"""A database of its own for a test session: the roles and the migrations of the deployer, on the local Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import asyncpg

from services.kit.persistence import roles
from services.kit.persistence.migrate import upgrade

PASSWORD = "deployer"


@dataclass(frozen=True)
class DeployerDatabase:
    """DSNs of one database."""

    owner_dsn: str
    worker_dsn: str

    async def empty(self) -> None:
        """Leave the tables and nothing in them."""
        connection = await asyncpg.connect(self.owner_dsn)
        try:
            found = await connection.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'deployer' AND tablename <> 'alembic_version'"
            )
            await connection.execute(f"TRUNCATE {', '.join(row['tablename'] for row in found)} CASCADE")
        finally:
            await connection.close()


def make_database(admin_dsn: str) -> DeployerDatabase:
    """Create and migrate a fresh database. Not from within an event loop. Every call must use the same `PASSWORD`."""
    name = f"deployer_{uuid4().hex[:12]}"
    asyncio.run(roles.provision(admin_dsn, lambda _: PASSWORD, ["deployer"], name))
    owner, worker = (
        roles.dsn_for(admin_dsn, roles.role_name("deployer", part), PASSWORD, name) for part in ("owner", "worker")
    )
    upgrade("deployer", owner)
    return DeployerDatabase(owner, worker)
