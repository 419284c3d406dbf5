"""Runs a service's Alembic migrations in its own schema, as its owner role.

`python -m services.kit.persistence.migrate SERVICE` reads the owner's DSN from `TAXIWAY_<SCHEMA>_OWNER_DSN`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

SERVICES = Path(__file__).resolve().parents[2]
SCHEMA_OF = {"ingest_api": "ingest", "scheduler": "scheduler", "deployer": "deployer", "metering": "metering"}
"""Postgres schema of each service."""


def upgrade(service: str, owner_dsn: str, revision: str = "head") -> None:
    """Bring the schema of `service` to `revision`, the newest; nothing happens when it is there already."""
    config = Config()
    config.set_main_option("script_location", str(SERVICES / service / "migrations"))
    config.attributes["owner_dsn"] = owner_dsn
    config.attributes["schema"] = SCHEMA_OF[service]
    command.upgrade(config, revision)


def run_environment() -> None:
    """The body of each service's `migrations/env.py`."""
    asyncio.run(_run())


async def _run() -> None:
    dsn = context.config.attributes["owner_dsn"].replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(dsn, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, version_table_schema=context.config.attributes["schema"])
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


def main() -> int:
    """Migrate the services named on the command line, all four when none is."""
    for service in sys.argv[1:] or SCHEMA_OF:
        upgrade(service, os.environ[f"TAXIWAY_{SCHEMA_OF[service].upper()}_OWNER_DSN"])
        sys.stdout.write(f"{service}: up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
