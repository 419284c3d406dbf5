"""`taxiway_ops`: reads everything in an emergency, changes nothing, is logged, and is closed until then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from infra.local.stack import LocalStack
from services.kit.persistence.roles import OPS, SCHEMAS, dsn_for, provision
from tests.fakes.ingest_api.postgres import PASSWORD, IngestDatabase

INSERT = "INSERT INTO ingest.model (tenant_id, name, description, created_at) VALUES ($1, 'ops', '', now())"
READABLE = """
SELECT schemaname || '.' || tablename AS name, has_table_privilege($1, schemaname || '.' || tablename, 'SELECT') AS may
FROM pg_tables WHERE schemaname = ANY($2::text[])
"""


def ops_dsn(database: IngestDatabase) -> str:
    """How such a person connects."""
    name = database.worker_dsn.rpartition("/")[2]
    return dsn_for(database.admin_dsn, OPS, PASSWORD, name)


@pytest.fixture
async def tenants(ingest_database: IngestDatabase) -> list[UUID]:
    """Two tenants with a model each."""
    made = [uuid4(), uuid4()]
    worker = await asyncpg.connect(ingest_database.worker_dsn)
    for tenant_id in made:
        await worker.execute(INSERT, tenant_id)
    await worker.close()
    return made


@pytest.fixture
async def ops(ingest_database: IngestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A person whom an administrator let in, as the documentation says; the door is closed again at the end."""
    admin = await asyncpg.connect(ingest_database.admin_dsn)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await admin.execute(f"ALTER ROLE {OPS} LOGIN PASSWORD '{PASSWORD}' VALID UNTIL '{until}'")
    try:
        connection = await asyncpg.connect(ops_dsn(ingest_database))
        yield connection
        await connection.close()
    finally:
        await admin.execute(f"ALTER ROLE {OPS} NOLOGIN PASSWORD NULL")
        await admin.close()


async def test_nobody_gets_in_by_default(ingest_database: IngestDatabase) -> None:
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(ops_dsn(ingest_database))


async def test_it_reads_the_rows_of_all_tenants(ops: asyncpg.Connection, tenants: list[UUID]) -> None:
    found = await ops.fetch("SELECT tenant_id FROM ingest.model WHERE tenant_id = ANY($1::uuid[])", tenants)
    assert {row["tenant_id"] for row in found} == set(tenants)


async def test_it_reads_every_table_also_those_of_migrations_to_come(
    ops: asyncpg.Connection, ingest_database: IngestDatabase
) -> None:
    owner = await asyncpg.connect(ingest_database.owner_dsn)
    await owner.execute("CREATE TABLE ingest.of_a_later_release (id int)")
    try:
        tables = {row["name"]: row["may"] for row in await ops.fetch(READABLE, OPS, list(SCHEMAS))}
    finally:
        await owner.execute("DROP TABLE ingest.of_a_later_release")
        await owner.close()
    assert "ingest.of_a_later_release" in tables
    assert len(tables) > 5
    assert [name for name, may in tables.items() if not may] == []


async def test_tables_from_before_the_role_could_read_are_opened_by_provisioning_again(
    ops: asyncpg.Connection, ingest_database: IngestDatabase, tenants: list[UUID]
) -> None:
    owner = await asyncpg.connect(ingest_database.owner_dsn)
    await owner.execute(f"REVOKE SELECT ON ingest.model FROM {OPS}")  # noqa: S608 - a constant
    await owner.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ops.fetch("SELECT 1 FROM ingest.model")
    name = ingest_database.worker_dsn.rpartition("/")[2]
    await provision(ingest_database.admin_dsn, lambda _: PASSWORD, ["ingest"], name)
    assert await ops.fetch("SELECT 1 FROM ingest.model") != []


@pytest.mark.parametrize("mode", ["READ ONLY", "READ WRITE"])
async def test_it_changes_nothing(mode: str, ops: asyncpg.Connection, tenants: list[UUID]) -> None:
    await ops.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION {mode}")
    for statement in (
        "UPDATE ingest.model SET description = 'mine'",
        "DELETE FROM ingest.model",
        "TRUNCATE ingest.model",
        "CREATE TABLE ingest.mine (id int)",
        "CREATE TABLE public.mine (id int)",
    ):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
            await ops.execute(statement)


async def test_every_statement_is_in_the_servers_log(ops: asyncpg.Connection, local_stack: LocalStack) -> None:
    log = local_stack.status()["postgres"].log
    if not isinstance(log, Path):
        pytest.skip("the server is given, its log is not ours")
    marker = uuid4().hex
    await ops.fetch(f"SELECT '{marker}'")
    assert marker in log.read_text()


async def test_the_front_doors_own_role_is_not_logged_statement_by_statement(
    ingest_database: IngestDatabase, local_stack: LocalStack
) -> None:
    app = await asyncpg.connect(ingest_database.app_dsn)
    assert await app.fetchval("SHOW log_statement") == "none"
    await app.close()
