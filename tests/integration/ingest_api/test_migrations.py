"""What an earlier release has stored is read by this one, once the migrations have run."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID, uuid4

import asyncpg

from infra.local.stack import Addresses
from services.ingest_api.adapters.postgres_platform import opener
from services.ingest_api.domain.reservation import fold_reservation
from services.kit.persistence import roles
from services.kit.persistence.database import Database
from services.kit.persistence.migrate import upgrade
from tests.fakes.ingest_api.builders import NOW, event, lost
from tests.fakes.ingest_api.postgres import PASSWORD

BEFORE = "0002"
OWNER, ABOUT, HELD = UUID(int=1), UUID(int=2), UUID(int=3)
RESERVATION = """
INSERT INTO ingest.reservation
    (tenant_id, reservation_id, deployment_id, revision, stage, gpu_milli, allocations, explanation, reserved_at)
VALUES ($1, $2, $3, 1, 0, 500, $4, 'the tightest device', $5)
"""
NODE = """
INSERT INTO ingest.node (node, pool, cpu_milli, memory_mib, gpu_count, gpu_model, observed_at)
VALUES ('n-1', 'default', 1000, 1000, 2, 'A100', $1)
"""


async def _fill(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    places = json.dumps([{"replica": 0, "node": "n-1", "devices": [1], "gpu_milli": 500}])
    try:
        await connection.execute(RESERVATION, OWNER, HELD, ABOUT, places, NOW)
        await connection.execute(NODE, NOW)
    finally:
        await connection.close()


def test_reservations_and_nodes_of_an_earlier_release_stay_as_they_are(addresses: Addresses) -> None:
    # given
    name = f"ingest_{uuid4().hex[:12]}"
    asyncio.run(roles.provision(addresses.postgres_dsn, lambda _: PASSWORD, ["ingest"], name))
    owner, worker = (
        roles.dsn_for(addresses.postgres_dsn, roles.role_name("ingest", part), PASSWORD, name)
        for part in ("owner", "worker")
    )
    upgrade("ingest_api", owner, BEFORE)
    asyncio.run(_fill(worker))
    # when
    upgrade("ingest_api", owner)
    # then
    asyncio.run(_check(worker))


async def _check(dsn: str) -> None:
    database = Database(dsn, "/taxiway/ingest_api", pool_size=1)
    try:
        async with opener(database)(OWNER) as stores:
            (held,) = await stores.reservations.of_deployment(ABOUT)
            assert (held.pool, held.decision, held.gpu_milli, held.explanation) == (
                "",
                None,
                500,
                "the tightest device",
            )
            folded = fold_reservation(held, event(lost((0,), HELD)))
            assert folded is not None
            await stores.reservations.keep(ABOUT, folded)
            (node,) = await stores.capacity.nodes("default")
            assert (node.failed_devices, node.is_cordoned, node.zone) == ((), False, "")
        async with opener(database)(OWNER) as stores:
            assert await stores.reservations.find(HELD) == folded
    finally:
        await database.close()
