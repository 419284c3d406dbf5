"""A database of its own for a test session: the roles and the migrations of the front door, on the local Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import uuid4

from services.kit.persistence import roles
from services.kit.persistence.migrate import upgrade

PASSWORD = "ingest"


@dataclass(frozen=True)
class IngestDatabase:
    """DSNs of one database."""

    admin_dsn: str
    owner_dsn: str
    app_dsn: str
    worker_dsn: str


def make_database(admin_dsn: str) -> IngestDatabase:
    """Create and migrate a fresh database. Not from within an event loop. Every call must use the same `PASSWORD`."""
    name = f"ingest_{uuid4().hex[:12]}"
    asyncio.run(roles.provision(admin_dsn, lambda _: PASSWORD, ["ingest"], name))
    owner, app, worker = (
        roles.dsn_for(admin_dsn, roles.role_name("ingest", part), PASSWORD, name) for part in ("owner", "app", "worker")
    )
    upgrade("ingest_api", owner)
    return IngestDatabase(admin_dsn, owner, app, worker)
