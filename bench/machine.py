"""Facts about the machine and the software, without which a figure says nothing. No names, no paths."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import asyncpg
import psutil
from confluent_kafka import libversion

from infra.local.kafka import jars
from infra.local.kafka.broker import Kafka
from infra.local.stack import Addresses

PACKAGES = ("asyncpg", "confluent-kafka", "fastapi", "pydantic", "sqlalchemy", "uvicorn")


@dataclass(frozen=True)
class Machine:
    """Where the figures were taken."""

    cores: int
    memory_mib: int
    system: str
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "cores": self.cores,
            "memory_mib": self.memory_mib,
            "system": self.system,
            "versions": dict(self.versions),
        }


def this_machine(parts: dict[str, str]) -> Machine:
    """The machine this runs on; `parts` are the versions of what was started or given."""
    return Machine(
        cores=os.cpu_count() or 0,
        memory_mib=psutil.virtual_memory().total // 2**20,
        system=f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        versions={
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
            "librdkafka": libversion()[0],
            **parts,
        },
    )


def load() -> float:
    """Processes that ran or wanted to run, the mean of the last minute. Above the number of cores they wait."""
    return os.getloadavg()[0]


async def versions_of(addresses: Addresses) -> dict[str, str]:
    """What Postgres says it is, and the Kafka that is started; a Kafka that was given does not tell its version."""
    connection: Any = await asyncpg.connect(addresses.postgres_dsn)
    try:
        postgres = str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()
    return {"kafka": "given" if Kafka.variable in os.environ else jars.version(), "postgres": postgres}
