"""Creates the database, and for each service its schema and its three roles. Run by an administrator, once or again.

    taxiway_<schema>_owner    owns the schema; runs migrations, nothing else
    taxiway_<schema>_app      reads and writes rows of one tenant at a time (row-level security)
    taxiway_<schema>_worker   reads and writes all rows of its schema; consumers and owners' loops
    taxiway_ops               reads all rows of all schemas and writes none, for people in an emergency

No role of one service can touch another's schema, and none but `taxiway_ops` can bypass row-level security. That one
cannot log in until an administrator says so, for a time: `ALTER ROLE taxiway_ops LOGIN PASSWORD '…' VALID UNTIL '…'`.
The server then logs each of its statements, which it does by login only: never grant the role to another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

import asyncpg

DATABASE = "taxiway"
SCHEMAS = ("ingest", "scheduler", "deployer", "metering")
PARTS = ("owner", "app", "worker")
OPS = "taxiway_ops"
OPS_SETTINGS = ("log_statement = 'all'", "default_transaction_read_only = on")
CONTENT_PRIVILEGES = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES",
    "GRANT USAGE, SELECT ON SEQUENCES",
)


def role_name(schema: str, part: str) -> str:
    """The role of a service's part."""
    return f"taxiway_{schema}_{part}"


def dsn_for(admin_dsn: str, role: str, password: str, database: str = DATABASE) -> str:
    """The administrator's DSN with another user, password and database. Passwords must be URL-safe."""
    parts = urlsplit(admin_dsn)
    host = (parts.netloc.rpartition("@")[2]) or "127.0.0.1"
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{host}", path=f"/{database}"))


async def provision(
    admin_dsn: str, password_of: Callable[[str], str], schemas: Sequence[str] = SCHEMAS, database: str = DATABASE
) -> None:
    """Create what is missing and set every role's password; what is there stays. Safe to run again."""
    admin = await asyncpg.connect(admin_dsn)
    try:
        await _ensure_role(admin, OPS, None, "NOSUPERUSER BYPASSRLS NOCREATEDB")
        for setting in OPS_SETTINGS:
            await admin.execute(f'ALTER ROLE "{OPS}" SET {setting}')
        for schema in schemas:
            for part in PARTS:
                role = role_name(schema, part)
                await _ensure_role(admin, role, password_of(role), "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB")
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await admin.execute(f'CREATE DATABASE "{database}"')
    finally:
        await admin.close()
    inside = await asyncpg.connect(urlunsplit(urlsplit(admin_dsn)._replace(path=f"/{database}")))
    try:
        await inside.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        for schema in schemas:
            await _ensure_schema(inside, schema)
    finally:
        await inside.close()


async def _ensure_role(admin: asyncpg.Connection, role: str, password: str | None, options: str) -> None:
    if not await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await admin.execute(f'CREATE ROLE "{role}"')
    await admin.execute(f'ALTER ROLE "{role}" {options}')
    if password is not None:
        quoted = await admin.fetchval("SELECT quote_literal($1)", password)
        await admin.execute(f'ALTER ROLE "{role}" PASSWORD {quoted}')


async def _ensure_schema(inside: asyncpg.Connection, schema: str) -> None:
    owner = role_name(schema, "owner")
    await inside.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}" AUTHORIZATION "{owner}"')
    for part in PARTS:
        role = role_name(schema, part)
        await inside.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"')
        await inside.execute(f'ALTER ROLE "{role}" SET search_path = "{schema}"')
    for privilege in CONTENT_PRIVILEGES:
        roles = ", ".join(f'"{role_name(schema, part)}"' for part in ("app", "worker"))
        await inside.execute(f'ALTER DEFAULT PRIVILEGES FOR ROLE "{owner}" IN SCHEMA "{schema}" {privilege} TO {roles}')
    for grant in (
        f'GRANT USAGE ON SCHEMA "{schema}"',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}"',
        f'ALTER DEFAULT PRIVILEGES FOR ROLE "{owner}" IN SCHEMA "{schema}" GRANT SELECT ON TABLES',
    ):
        await inside.execute(f'{grant} TO "{OPS}"')
