"""A statement that was prepared while a table was empty finds its way by the index when the table has grown."""

from __future__ import annotations

from typing import Any

from services.kit.persistence.connection import own_connection
from services.kit.persistence.database import Database
from tests.integration.kit.harness import Probe

EXECUTIONS = 10
"""After five, Postgres may keep one plan."""


async def plan_after_growth(connection: Any) -> str:
    """How Postgres would run the statement now."""
    columns = ", ".join(f"column_{number} text" for number in range(8))
    await connection.execute(f"CREATE TEMP TABLE growing (id bigint PRIMARY KEY, {columns})")
    await connection.execute("PREPARE gone AS DELETE FROM growing WHERE id = ANY($1::bigint[])")
    for _ in range(EXECUTIONS):
        await connection.execute("EXECUTE gone('{1,2,3}')")
    await connection.execute("INSERT INTO growing SELECT n, repeat('x', 200) FROM generate_series(1, 20000) AS n")
    return "\n".join(row[0] for row in await connection.fetch("EXPLAIN EXECUTE gone('{1,2,3}')"))


async def test_a_connection_of_its_own(probe: Probe) -> None:
    async with own_connection(probe.dsn) as connection:
        plan = await plan_after_growth(connection)
    assert "Index" in plan, plan


async def test_a_connection_of_the_pool(probe: Probe) -> None:
    database = Database(probe.dsn, "/test/plans")
    async with database.unit_of_work() as work:
        plan = await plan_after_growth(await work.driver())
    await database.close()
    assert "Index" in plan, plan
