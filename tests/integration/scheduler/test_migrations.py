"""Rows that earlier releases wrote are carried over: after the upgrade a pool's owner goes on where it stopped."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from infra.local.stack import Addresses
from schemas.resources import Allocation, Resources
from services.kit.persistence.database import Database
from services.kit.persistence.migrate import upgrade
from services.scheduler.adapters.postgres_pool import PostgresPoolStore
from services.scheduler.domain.model import Cause, Request
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.pool.snapshot import LONG_AGO, Snapshot
from tests.fakes.scheduler.builders import TEAM, entry, gpus, identity, reserve
from tests.fakes.scheduler.postgres import SchedulerDatabase, make_database

BEFORE = "0002"
"""Revision of the release before reservations were whole."""

POOL = "INSERT INTO pools VALUES ('default', 9, 5)"
NODE = "INSERT INTO nodes VALUES ('default', 'n1', 0, 64000, 262144, 8, 'A100', true)"
TENANT = "INSERT INTO tenants VALUES ($1, 'default', 50000, true)"
RESERVATION = """
INSERT INTO reservations (tenant_id, reservation_id, pool, deployment_id, state, revision, stage, replicas, resources,
                          priority, arrival, input_id, input_position, origin)
VALUES ($1, $2, 'default', $3, $4, 2, 1, $5, $6, 70, $7, $8, 't/0/1', '{"actor": "user:ann"}')
"""
ENDED_UNASKED = """
INSERT INTO reservations (tenant_id, reservation_id, pool, deployment_id, state) VALUES ($1, $2, 'default', $3, $4)
"""
ALLOCATION = "INSERT INTO allocations VALUES ($1, $2, $3, 'n1', $4, 500)"
INPUT = """
INSERT INTO inputs (tenant_id, pool, type, data, input_id, input_position, origin, applied)
VALUES ($1, 'default', $2, $3, 'i', 't/0/1', '{}', $4)
"""
DECISION = """
INSERT INTO decisions VALUES ($1, 'default', 5, 9, $2, $3, 'placed', '', 'because', 1000, 7, '[]', '[]', 'best_fit',
                              '1', now(), 'i', 't/0/1')
"""


@pytest.fixture
def old_database(addresses: Addresses) -> SchedulerDatabase:
    """Tables as the release before left them, with what it could write in them."""
    database = make_database(addresses.postgres_dsn, BEFORE)
    asyncio.run(write_old_rows(database.worker_dsn))
    return database


async def write_old_rows(dsn: str) -> None:
    """As the old release's worker did."""
    connection = await asyncpg.connect(dsn)
    asked = gpus(1, 500).model_dump_json()
    for name, state, replicas, arrival in (
        ("held", "reserved", 2, 3),
        ("waits", "waiting", 3, 4),
        ("refused", "rejected", 1, 5),
        ("given back", "released", 1, 6),
    ):
        await connection.execute(
            RESERVATION, TEAM, identity(name), identity(f"d {name}"), state, replicas, asked, arrival, f"i {name}"
        )
    await connection.execute(ENDED_UNASKED, TEAM, identity("never asked"), identity("d"), "released")
    for replica, device in ((1, 0), (0, 3)):
        await connection.execute(ALLOCATION, TEAM, identity("held"), replica, [device])
    await connection.execute(POOL)
    await connection.execute(NODE)
    await connection.execute(TENANT, TEAM)
    late = reserve("late")
    await connection.execute(INPUT, TEAM, late.type, late.model_dump_json(), None)
    await connection.execute(INPUT, TEAM, late.type, late.model_dump_json(), 9)
    await connection.execute(DECISION, TEAM, identity("held"), identity("d held"))
    await connection.close()


async def loaded(dsn: str) -> tuple[Snapshot, list[Any], set[Any]]:
    """The pool, what is pending, and what of its reservations is known as ended."""
    database, store = Database(dsn, "/taxiway/scheduler"), PostgresPoolStore()
    names = ("held", "waits", "refused", "given back", "never asked")
    async with database.unit_of_work() as work:
        build = await store.load(work, "default", policy_named("default"))
        pending = await store.pending(work, "default", 10)
        closed = await store.closed(work, "default", [entry(reserve(name)) for name in names])
    await database.close()
    return build(), pending, closed


async def fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(query)
    await connection.close()
    return list(rows)


def test_what_the_release_before_wrote_is_there_after_the_upgrade(old_database: SchedulerDatabase) -> None:
    upgrade("scheduler", old_database.owner_dsn)
    snapshot, pending, closed = asyncio.run(loaded(old_database.worker_dsn))

    held = snapshot.reservations[identity("held")]
    assert set(snapshot.reservations) == {identity("held")}
    assert held.request == request("held", 2, 3, held.request)
    assert held.allocations == (
        Allocation(replica=0, node="n1", devices=(3,), gpu_milli=500),
        Allocation(replica=1, node="n1", devices=(0,), gpu_milli=500),
    )
    (waiting,) = snapshot.queue
    assert waiting.request == request("waits", 3, 4, waiting.request)
    assert (waiting.replicas, waiting.is_lost) == ((0, 1, 2), False)
    assert closed == {identity(name) for name in ("refused", "given back", "never asked")}
    assert snapshot.cluster.gpu_free.tolist() == [7000]
    assert (snapshot.applied, snapshot.decided, snapshot.now, snapshot.memory_at) == (9, 5, LONG_AGO, 0)
    assert snapshot.tenants[TEAM].max_gpu_milli == 50_000
    assert snapshot.tenants[TEAM].max_waiting == 1000
    assert snapshot.tenants[TEAM].is_suspended
    assert [each.entry.data for each in pending] == [reserve("late")]


def test_row_level_security_is_in_force_after_the_upgrade(old_database: SchedulerDatabase) -> None:
    upgrade("scheduler", old_database.owner_dsn)
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relforcerowsecurity ORDER BY 1"
    assert [row["relname"] for row in asyncio.run(fetch(old_database.worker_dsn, tables))] == [
        "claims",
        "decisions",
        "inputs",
        "reservations",
        "tenants",
    ]


def test_what_ended_before_the_upgrade_belongs_to_the_pools_past(old_database: SchedulerDatabase) -> None:
    """The policy's memory is filled up from requests, also from those that ended; and decisions are kept."""
    upgrade("scheduler", old_database.owner_dsn)
    rows = asyncio.run(fetch(old_database.worker_dsn, "SELECT request::text FROM reservations ORDER BY arrival"))
    kept = [json.loads(row["request"])["resources"] for row in rows if row["request"]]
    assert [Resources.model_validate(each) for each in kept] == [gpus(1, 500)] * 4
    (decision,) = asyncio.run(fetch(old_database.worker_dsn, "SELECT number, outcome FROM decisions"))
    assert tuple(decision) == (5, "placed")


def request(name: str, replicas: int, arrival: int, found: Request) -> Request:
    """What the old row said; when it was asked for, nobody wrote down."""
    return Request(
        reservation_id=identity(name),
        deployment_id=identity(f"d {name}"),
        tenant_id=TEAM,
        revision=2,
        stage=1,
        replicas=replicas,
        resources=gpus(1, 500),
        pool="default",
        priority=70,
        arrival=arrival,
        asked_at=found.asked_at,
        cause=Cause(f"i {name}", "t/0/1", '{"actor": "user:ann"}'),
    )
