"""The platform's own processes on one machine: what each runs, with which environment, and when it is ready."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import LOOPBACK
from infra.local.process import Launch

REPOSITORY = Path(__file__).resolve().parents[2]
CLUSTER = "cluster"
"""The simulated cluster and its gateway."""
SERVICES = ("ingest_api", "scheduler", "deployer", "metering")
ORDER = (CLUSTER, *SERVICES)
"""Started in this order, stopped in reverse."""
PORTS = {CLUSTER: 2, "ingest_api": 2}
"""Ports of a worker: its main one and its health port; one for those that serve health only."""


@dataclass(frozen=True)
class WorkerId:
    """One copy of one process."""

    name: str
    instance: str = "0"

    def __str__(self) -> str:
        return f"{self.name}-{self.instance}"

    @classmethod
    def parse(cls, text: str) -> WorkerId:
        """The id that `str` wrote."""
        name, _, instance = text.rpartition("-")
        return cls(name, instance)

    @property
    def port_count(self) -> int:
        """How many ports it needs."""
        return PORTS.get(self.name, 1)


def launch_of(worker: WorkerId, environment: Mapping[str, str], arguments: tuple[str, ...] = ()) -> Launch:
    """The command of a worker."""
    module = "infra.local.simulators" if worker.name == CLUSTER else f"services.{worker.name}"
    surroundings = {**environment, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return Launch((sys.executable, "-m", module, *arguments), REPOSITORY, environment=surroundings)


def is_ready(worker: WorkerId, ports: tuple[int, ...]) -> bool:
    """Whether it says that it takes work: `/readyz` on the health port, `/healthz` for the simulated cluster."""
    port, path = (ports[0], "/healthz") if worker.name == CLUSTER else (ports[-1], "/readyz")
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
