"""The backends behind the deployer's ports, each in turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from infra.local.simulators import nodes as simulated
from infra.local.simulators.server import simulators
from infra.local.simulators.settings import SimulatorSettings
from infra.local.stack import Addresses
from schemas.envelope import decode
from services.deployer.adapters.postgres_intake import PostgresIntake
from services.deployer.adapters.postgres_nodes import PostgresNodeStore
from services.deployer.adapters.postgres_rollouts import PostgresRolloutStore
from services.deployer.adapters.simulated import SimulatedCluster
from services.deployer.domain.node import Node
from services.deployer.ports import Cluster, Intake, NodeStore, RolloutStore
from services.kit.clock import HeldClock
from services.kit.persistence.database import Database
from services.kit.persistence.leases import Lease, acquire
from services.kit.persistence.unit_of_work import UnitOfWork
from tests.fakes.deployer.cluster import InMemoryCluster
from tests.fakes.deployer.postgres import DeployerDatabase, make_database
from tests.fakes.deployer.stores import InMemoryNodeStore, InMemoryRolloutStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NODES = [
    Node("n1", "default", 64000, 262144, 2, "P100", zone="rack-1"),
    Node("n2", "default", 32000, 131072, 0, "", (), True, ""),
    Node("n3", "default", 64000, 262144, 8, "A100-80", (2, 5)),
]


SPOIL_STATE = "UPDATE rollout SET state = jsonb_build_object('phase', 'orbiting') WHERE deployment_id = :deployment"
GROW_STATE = "UPDATE rollout SET state = jsonb_set(state, '{canary,spec,grown}', '1') WHERE deployment_id = :deployment"
SPOIL_COMMAND = """
INSERT INTO command (tenant_id, deployment_id, kind, reason, origin)
SELECT tenant_id, deployment_id, 'fly', 'why not', '{}' FROM rollout WHERE deployment_id = :deployment
"""


@dataclass(frozen=True)
class Bench:
    """One backend of `Cluster`, and what a test does to it from outside."""

    cluster: Cluster
    pass_time: Callable[[], Awaitable[None]]
    """Let a little time go by."""
    take_away: Callable[[], Awaitable[None]]
    """From now on it answers no call."""
    fail: Callable[[str, list[int]], Awaitable[None]]
    """These devices of a node are broken from now on, and no others."""
    remove: Callable[[str], Awaitable[None]]
    """A node goes away with all that is on it."""
    bring_back: Callable[[str], Awaitable[None]]
    """A node that went away is there again, as it was."""

    async def until(self, check: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what the cluster does in its own time."""
        for _ in range(200):
            if await check():
                return
            await self.pass_time()
        raise AssertionError("it did not happen")


@pytest.fixture(params=["in_memory", "simulated"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each backend in turn."""
    if request.param == "in_memory":
        yield in_memory_bench()
        return
    settings = SimulatorSettings(load_seconds=0.1, drain_seconds=0.1, route_delay_seconds=0.1)
    listed = [simulated.Node.model_validate(asdict(node)) for node in NODES]
    async with simulators(listed, settings) as addresses:
        cluster = SimulatedCluster(addresses.control_url)

        yield simulated_bench(cluster, addresses.control_url)
        await cluster.close()


def simulated_bench(cluster: SimulatedCluster, url: str) -> Bench:
    async def call(method: str, path: str, body: object = None) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.request(method, f"{url}{path}", json=body)).raise_for_status()

    return Bench(
        cluster,
        lambda: asyncio.sleep(0.02),
        lambda: call("PUT", "/settings", {"refuses_all": True}),
        lambda node, devices: call("PUT", f"/nodes/{node}", {"failed_devices": devices}),
        lambda node: call("DELETE", f"/nodes/{node}"),
        lambda node: call("PUT", f"/nodes/{node}", {}),
    )


def in_memory_bench() -> Bench:
    clock = HeldClock(NOW)
    cluster = InMemoryCluster(clock, nodes=NODES)

    async def pass_time() -> None:
        clock.advance(0.25)

    async def take_away() -> None:
        cluster.is_away = True

    async def fail(name: str, devices: list[int]) -> None:
        cluster.fail_devices(name, *devices)

    async def remove(name: str) -> None:
        cluster.remove_node(name)

    async def bring_back(name: str) -> None:
        cluster.put_node(next(node for node in NODES if node.name == name))

    return Bench(cluster, pass_time, take_away, fail, remove, bring_back)


@dataclass(frozen=True)
class Records:
    """One implementation of the stores."""

    rollouts: RolloutStore
    intake: Intake
    nodes: NodeStore
    unit_of_work: Callable[[], AbstractAsyncContextManager[UnitOfWork]]
    lease: Callable[[], Awaitable[Lease]]
    """Takes the lease over from whoever has it."""
    said: Callable[[], Awaitable[list[tuple[str, str | None]]]]
    """Type and actor of each event that was emitted, in order."""
    spoil: Mapping[str, Callable[[UUID], Awaitable[None]]]
    """Makes what is recorded of a deployment unreadable: its `state`, or a `command`."""
    grow: Callable[[UUID], Awaitable[None]]
    """Adds a field of a newer release to the spec of what is on its way."""


@pytest.fixture(scope="module")
def deployer_database(addresses: Addresses) -> DeployerDatabase:
    """A migrated database."""
    return make_database(addresses.postgres_dsn)


@pytest.fixture
async def database(deployer_database: DeployerDatabase) -> AsyncIterator[Database]:
    """The deployer's database, empty, as its worker role."""
    await deployer_database.empty()
    database = Database(deployer_database.worker_dsn, "/taxiway/deployer", clock=HeldClock(NOW))
    yield database
    await database.close()


@pytest.fixture(params=["in_memory", "postgres"])
def records(request: pytest.FixtureRequest) -> Records:
    """Each implementation in turn."""
    if request.param == "in_memory":
        return in_memory_records()
    database: Database = request.getfixturevalue("database")

    async def take() -> Lease:
        lease = await acquire(database, "rollouts:0", "test", ttl=-1)
        assert lease is not None
        return lease

    return Records(
        PostgresRolloutStore(database, shards=1),
        PostgresIntake(lambda: None),
        PostgresNodeStore(database),
        database.unit_of_work,
        take,
        lambda: outbox_of(database),
        {
            "state": lambda deployment: execute(database, SPOIL_STATE, deployment),
            "command": lambda deployment: execute(database, SPOIL_COMMAND, deployment),
        },
        lambda deployment: execute(database, GROW_STATE, deployment),
    )


async def execute(database: Database, statement: str, deployment_id: UUID) -> None:
    """Do this to a deployment's records."""
    async with database.unit_of_work() as work:
        await work.connection.execute(text(statement), {"deployment": deployment_id})


def in_memory_records() -> Records:
    store, nodes = InMemoryRolloutStore(), InMemoryNodeStore()

    async def take() -> Lease:
        store.epoch = nodes.epoch = store.epoch + 1
        return Lease("rollouts:0", "test", store.epoch)

    async def said() -> list[tuple[str, str | None]]:
        rollouts = [(data.type, origin.actor) for data, origin in store.said]
        return [*rollouts, *((data.type, "service:deployer") for data in nodes.said)]

    no_work = cast(Callable[[], AbstractAsyncContextManager[UnitOfWork]], lambda: nullcontext(cast(UnitOfWork, None)))

    async def spoil_state(deployment_id: UUID) -> None:
        store.spoil_state(deployment_id)

    async def spoil_command(deployment_id: UUID) -> None:
        store.spoil_command(deployment_id)

    async def grow_state(deployment_id: UUID) -> None:
        store.grow_state(deployment_id)

    spoil = {"state": spoil_state, "command": spoil_command}
    return Records(store, store, nodes, no_work, take, said, spoil, grow_state)


async def outbox_of(database: Database) -> list[tuple[str, str | None]]:
    """What waits for the relay."""
    connection = await asyncpg.connect(database.dsn)
    try:
        rows = await connection.fetch("SELECT value, headers::text AS headers FROM outbox ORDER BY id")
    finally:
        await connection.close()
    return [read(row) for row in rows]


def read(row: Any) -> tuple[str, str | None]:
    headers = [(name, content.encode()) for name, content in json.loads(row["headers"])]
    event = decode(headers, row["value"])
    return event.type, event.actor
