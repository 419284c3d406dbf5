"""What the tables keep for an audit beside what a pool's owner reads."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from services.kit.persistence.database import Database
from tests.contract.scheduler.conftest import on_postgres
from tests.contract.scheduler.driving import run, told
from tests.fakes.scheduler.builders import NOW, entry, gpus, identity, node, release, reserve, tenant


async def fetch(database: Database, query: str) -> list[Any]:
    async with database.unit_of_work() as work:
        return list((await work.connection.execute(text(query))).all())


async def test_an_input_keeps_its_number_and_the_time_that_it_was_applied_at(postgres: Database) -> None:
    stores = on_postgres(postgres)
    await told(stores, node("n1"), tenant(), reserve("a"))
    await run(stores)
    assert await fetch(postgres, "SELECT applied, applied_at FROM inputs ORDER BY id") == [(n, NOW) for n in (1, 2, 3)]


async def test_a_decision_keeps_its_input_its_places_and_what_else_was_possible(postgres: Database) -> None:
    stores = on_postgres(postgres)
    await told(stores, node("n1"), node("n2"), tenant(), reserve("a", gpus(2)), release("a"))
    await run(stores)
    placed, released = await fetch(postgres, "SELECT * FROM decisions ORDER BY number")
    assert (placed.number, placed.applied, placed.outcome, placed.gpu_milli) == (1, 4, "placed", 2000)
    assert [each["devices"] for each in placed.allocations] == [[0, 1]]
    assert [set(each) for each in placed.alternatives] == [{"node", "score", "why"}]
    assert placed.input_id == entry(reserve("a", gpus(2))).cause.input_id
    assert (released.number, released.applied, released.outcome, released.gpu_milli) == (2, 5, "released", 2000)


async def test_what_ended_keeps_its_request_whenever_it_ended(postgres: Database) -> None:
    """In the batch in which it was asked for, or later."""
    stores = on_postgres(postgres)
    await told(stores, node("n1"), tenant(), reserve("at once"), release("at once"), reserve("later"))
    await run(stores)
    await told(stores, release("later"))
    await run(stores)
    rows = await fetch(postgres, "SELECT reservation_id, state, arrival, request FROM reservations ORDER BY arrival")
    assert [(row.reservation_id, row.state, row.arrival) for row in rows] == [
        (identity("at once"), "ended", 3),
        (identity("later"), "ended", 5),
    ]
    assert [row.request["resources"]["gpu_count"] for row in rows] == [1, 1]
