"""The ground that is measured on: real parts, and on them topics and a database that nobody else uses."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncpg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.local.stack import Addresses, LocalStack
from services.kit.persistence import roles
from services.kit.persistence.migrations import KIT_TABLES

PARTITIONS = 3
KAFKA_SECONDS = 20


@contextmanager
def real_parts(*parts: str) -> Iterator[Addresses]:
    """The parts whose addresses the environment gives; the others are started, and gone when the block ends."""
    stack = LocalStack(Path(tempfile.mkdtemp(prefix="taxiway-bench-")))
    try:
        yield stack.up(parts)
    finally:
        stack.destroy()


@dataclass(frozen=True)
class Ground:
    """One run's topics and database."""

    bootstrap: str
    dsn: str
    """Worker role of a schema with the kit's tables; holds a secret."""
    owner_dsn: str
    """Owner of those tables; holds a secret."""
    run: str
    topics: list[str] = field(default_factory=list)
    """Created so far."""

    def topic(self, name: str, partitions: int = PARTITIONS) -> str:
        """A new, empty topic; returns its full name."""
        full = f"bench.{self.run}.{name}"
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.create_topics([NewTopic(full, partitions, 1)]).values():
            future.result(KAFKA_SECONDS)
        self.topics.append(full)
        return full

    def remove_topics(self) -> None:
        """Delete what `topic` created."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.delete_topics(self.topics).values() if self.topics else ():
            future.result(KAFKA_SECONDS)


@asynccontextmanager
async def prepared(addresses: Addresses, tables: str) -> AsyncIterator[Ground]:
    """A ground with the kit's tables and `tables`; database, roles and topics are removed when the block ends."""
    run = uuid4().hex[:12]
    schema, database, password = f"bench_{run}", f"bench_{run}", secrets.token_urlsafe(12)

    def dsn(part: str) -> str:
        return roles.dsn_for(addresses.postgres_dsn, roles.role_name(schema, part), password, database)

    await roles.provision(addresses.postgres_dsn, lambda _: password, [schema], database)
    ground = Ground(addresses.kafka_bootstrap, dsn("worker"), dsn("owner"), run)
    try:
        await execute(dsn("owner"), KIT_TABLES, tables)
        yield ground
    finally:
        ground.remove_topics()
        drops = (f'DROP ROLE "{roles.role_name(schema, part)}"' for part in roles.PARTS)
        await execute(addresses.postgres_dsn, f'DROP DATABASE "{database}" WITH (FORCE)', *drops)


async def execute(dsn: str, *statements: str) -> None:
    """Run statements one after the other, each by itself."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
