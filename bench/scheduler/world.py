"""A scheduler process on real parts, that knows the nodes of the published cluster and one tenant without a limit."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
from confluent_kafka import Producer

from bench.placement.trace import Pod, read_nodes, read_pods
from bench.scheduler.hearing import Hearing
from infra.local.stack import Addresses
from schemas.base import EventData
from schemas.envelope import Event, Headers, encode
from schemas.node import NodeObserved
from schemas.tenant import Plan, TenantCreated
from schemas.topics import all_topics
from services.kit.clock import SystemClock
from services.kit.ids import new_id
from services.kit.messaging.producer import producer_settings
from services.kit.messaging.topics import Provisioner
from services.kit.persistence import roles
from services.kit.persistence.migrate import upgrade
from services.scheduler.domain.model import Node

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "infra" / "demo" / "data"
POOL = "default"
SOURCE = "/taxiway/bench"
NO_LIMIT = 10**12
START_SECONDS = 60.0
STOP_SECONDS = 40.0
NODES = "SELECT count(*) FROM nodes WHERE pool = $1"
TENANTS = "SELECT count(*) FROM tenants WHERE pool = $1"
MEMORY_FOLDER = "taxiway-bench-"


class Message(NamedTuple):
    """A record on its way to Kafka."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


@dataclass
class World:
    """What the measurements speak to."""

    bootstrap: str
    dsn: str
    """Worker role of the scheduler's schema; holds a secret."""
    tenant_id: UUID
    pods: Sequence[Pod]
    """Demands to draw from."""
    pid: int
    """Of the scheduler process."""

    def __post_init__(self) -> None:
        self.producer = Producer(producer_settings(self.bootstrap, "bench", 30))

    def encoded(self, data: EventData, sequence: int | None = None) -> Message:
        """The event as the service that owns its topic would say it."""
        event = Event(
            id=str(new_id()),
            source=SOURCE,
            time=SystemClock().now(),
            data=data,
            tenantid=str(self.tenant_id),
            actor="service:bench",
            correlationid=str(new_id()),
            sequence=sequence,
            traceparent=f"00-{new_id().hex}-{secrets.token_hex(8)}-01",
        )
        value, headers = encode(event)
        return Message(data.topic, data.key.encode(), value, headers)

    def send(self, message: Message) -> None:
        """Hand it to the producer."""
        while True:
            try:
                self.producer.produce(message.topic, message.value, message.key, headers=message.headers)  # type: ignore[arg-type]
            except BufferError:
                self.producer.poll(0.01)
            else:
                return

    def tell(self, *said: EventData) -> None:
        """Send them, and wait until they are in Kafka."""
        for data in said:
            self.send(self.encoded(data))
        self.flush()

    def flush(self) -> None:
        """All that was handed over is in Kafka."""
        assert self.producer.flush(30) == 0, "Kafka did not take everything"

    def hearing(self, *topics: str) -> Hearing:
        """What is appended to the topics from now on."""
        return Hearing(self.bootstrap, topics)

    def fetch_value(self, query: str, *arguments: object) -> int:
        """One number from the scheduler's database."""
        return asyncio.run(_fetch_value(self.dsn, query, *arguments))


@contextmanager
def scheduler_world(addresses: Addresses, dsn: str, policy: str) -> Iterator[World]:
    """Topics, one scheduler process on the database, and in it 1,213 nodes; it is gone when the block ends."""
    provisioner = Provisioner(addresses.kafka_bootstrap)
    provisioner.apply(provisioner.plan(all_topics()))
    with _running(addresses, dsn, policy) as process:
        world = World(
            addresses.kafka_bootstrap, dsn, new_id(), read_pods(DATA / "openb_pod_list_default.csv"), process.pid
        )
        _tell_of_the_cluster(world, process)
        yield world


def scheduler_databases(admin_dsn: str, count: int) -> list[str]:
    """So many databases with the scheduler's newest tables; returns the worker's DSN of each."""
    password = secrets.token_urlsafe(12)  # of the roles, which all databases of a server share
    return [_database(admin_dsn, password) for _ in range(count)]


def _database(admin_dsn: str, password: str) -> str:
    name = f"bench_{secrets.token_hex(6)}"
    asyncio.run(roles.provision(admin_dsn, lambda _: password, ["scheduler"], name))
    owner, worker = (
        roles.dsn_for(admin_dsn, roles.role_name("scheduler", part), password, name) for part in ("owner", "worker")
    )
    upgrade("scheduler", owner)
    return worker


@contextmanager
def _running(addresses: Addresses, dsn: str, policy: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "TAXIWAY_KAFKA_BOOTSTRAP": addresses.kafka_bootstrap,
        "TAXIWAY_REDIS_URL": "redis://127.0.0.1:1/0",  # it asks for none
        "TAXIWAY_SCHEDULER_POSTGRES_DSN": dsn,
        "TAXIWAY_SCHEDULER_POLICY": policy,
    }
    with tempfile.TemporaryFile(prefix=MEMORY_FOLDER) as log:
        command = [sys.executable, "-m", "services.scheduler"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield process
        except BaseException:
            log.seek(max(0, log.tell() - 4000))
            sys.stderr.write(log.read().decode(errors="replace"))
            raise
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _tell_of_the_cluster(world: World, process: subprocess.Popen[bytes]) -> None:
    nodes = read_nodes(DATA / "openb_node_list_gpu_node.csv")
    plan = Plan(name="bench", max_concurrent_gpu_milli=NO_LIMIT, max_waiting_requests=NO_LIMIT)
    world.tell(TenantCreated(tenant_id=world.tenant_id, name="bench", plan=plan), *map(_observed, nodes))
    deadline = time.monotonic() + START_SECONDS
    while world.fetch_value(NODES, POOL) < len(nodes) or not world.fetch_value(TENANTS, POOL):
        assert process.poll() is None, "the scheduler ended"
        assert time.monotonic() < deadline, "the scheduler does not learn of its nodes"
        time.sleep(0.1)


def _observed(node: Node) -> NodeObserved:
    return NodeObserved(
        node=node.name,
        pool=POOL,
        cpu_milli=node.cpu_milli,
        memory_mib=node.memory_mib,
        gpu_count=node.gpu_count,
        gpu_model=node.gpu_model,
    )


async def _fetch_value(dsn: str, query: str, *arguments: object) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(query, *arguments))
    finally:
        await connection.close()
