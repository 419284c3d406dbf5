"""The whole platform on one machine: the real parts, the database and topics, the simulated cluster, the four services.

`Platform(folder).up()` and people get `<folder>/platform.json` with its addresses; `down()` and no process is left.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.local import process
from infra.local.credentials import AUDIENCE, ISSUER, Credentials
from infra.local.errors import NothingStarted, PartFailed
from infra.local.ports import LOOPBACK, free_ports
from infra.local.record import Record, StackFile
from infra.local.stack import Addresses, LocalStack
from infra.local.workers import CLUSTER, ORDER, REPOSITORY, SERVICES, WorkerId, is_ready, launch_of
from schemas.topics import all_topics
from services.kit.messaging.topics import Provisioner
from services.kit.persistence import migrate, roles

NODES = REPOSITORY / "infra" / "demo" / "data" / "openb_node_list_gpu_node.csv"
"""The pool of a platform that names no other."""
START_SECONDS = 60.0
STOP_SECONDS = 40.0
"""A service drains within this after SIGTERM."""
PASSED_ON = ("TAXIWAY_LOG_LEVEL", "TAXIWAY_OTLP_ENDPOINT")
QUICK = {
    "TAXIWAY_DEPLOYER_INTERVAL_SECONDS": "0.25",
    "TAXIWAY_DEPLOYER_SCALE_DOWN_DELAY_SECONDS": "1",
}
"""A person who tries it should not wait for the half minutes that production gives."""


class Platform:
    """The processes and files of one state directory."""

    def __init__(self, state_dir: Path, *, nodes: Path = NODES, environment: Mapping[str, str] | None = None) -> None:
        self.state_dir = state_dir.absolute()
        self.stack = LocalStack(self.state_dir / "stack")
        self.credentials = Credentials(self.state_dir / "credentials")
        self._nodes = nodes
        self._environment = {**QUICK, **(environment or {})}
        self._file = StackFile(self.state_dir / "workers.json")

    def up(self) -> None:
        """Start whatever does not run, and wait until it takes work; raises PartMissing or PartFailed."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        # The database's own account must be able to enter, but not list, on its way to its data.
        self.state_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (self.state_dir / "logs").mkdir(exist_ok=True, mode=0o700)
        self.credentials.ensure()
        self.provision(self.stack.up())
        workers = [WorkerId(name) for name in ORDER]
        for worker in workers:
            self._allot(worker)
        self._start_all(workers[:1])
        self._start_all(workers[1:])
        self._describe()

    def down(self) -> None:
        """Stop every process, services first, parts last; the data stays."""
        if self._file.exists():
            records = self._file.read()
            workers = sorted(map(WorkerId.parse, records), key=lambda worker: ORDER.index(worker.name), reverse=True)
            with ThreadPoolExecutor(max_workers=len(workers) or 1) as pool:
                list(pool.map(self.stop, [worker for worker in workers if worker.name != CLUSTER]))
            self.stop(WorkerId(CLUSTER))
        self.stack.down()

    def destroy(self) -> None:
        """`down`, and remove all data."""
        self.down()
        self.stack.destroy()
        if self.credentials.exist():  # they are made first: an `up` that was interrupted has them too
            _remove(self.state_dir)

    def start(self, worker: WorkerId) -> None:
        """Start one worker, a further copy too, and wait until it takes work."""
        self._allot(worker)
        self._start_all([worker])

    def stop(self, worker: WorkerId) -> None:
        """SIGTERM: it drains; SIGKILL when it takes too long."""
        self._end(worker, signal.SIGTERM)

    def kill(self, worker: WorkerId) -> None:
        """SIGKILL, as a crash would."""
        self._end(worker, signal.SIGKILL)

    def status(self) -> dict[str, dict[str, Any]]:
        """Every part and worker by name: running, pid, port, memory, log. Raises NothingStarted."""
        found = {name: _as_json(part) for name, part in self.stack.status().items()}
        for name, record in self._file.read().items():
            running = process.find(record.process)
            found[name] = {
                "running": running is not None,
                "ready": running is not None and is_ready(WorkerId.parse(name), record.ports),
                "pid": running.pid if running else None,
                "port": record.ports[0],
                "memory_mib": process.memory_mib(running) if running else None,
                "log": str(self._log(WorkerId.parse(name))),
            }
        return found

    def description(self) -> dict[str, Any]:
        """What `platform.json` says; raises NothingStarted before the first `up`."""
        try:
            described: dict[str, Any] = json.loads((self.state_dir / "platform.json").read_text())
        except FileNotFoundError:
            raise NothingStarted(f"no platform was started in {self.state_dir}") from None
        return described

    def provision(self, addresses: Addresses) -> None:
        """Roles, schemas, tables and topics; what is there stays."""
        asyncio.run(roles.provision(addresses.postgres_dsn, self.credentials.password_of))
        for service, schema in migrate.SCHEMA_OF.items():
            migrate.upgrade(service, self._dsn(schema, "owner"))
        provisioner = Provisioner(addresses.kafka_bootstrap)
        provisioner.apply(provisioner.plan(all_topics()))

    def environment_of(self, worker: WorkerId) -> dict[str, str]:
        """The environment of one worker: what it needs, and no more."""
        addresses = self.stack.addresses()
        ports = self._file.read()[str(worker)].ports
        common = {
            "TAXIWAY_KAFKA_BOOTSTRAP": addresses.kafka_bootstrap,
            "TAXIWAY_REDIS_URL": addresses.redis_url,
            "TAXIWAY_INSTANCE": worker.instance,
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        }
        return common | self._own_environment(worker, ports) | self._environment

    def _own_environment(self, worker: WorkerId, ports: tuple[int, ...]) -> dict[str, str]:
        health = str(ports[-1])
        match worker.name:
            case "ingest_api":
                return {
                    "TAXIWAY_INGEST_POSTGRES_DSN": self._dsn("ingest", "app"),
                    "TAXIWAY_INGEST_WORKER_DSN": self._dsn("ingest", "worker"),
                    "TAXIWAY_INGEST_JWT_ISSUER": ISSUER,
                    "TAXIWAY_INGEST_JWT_AUDIENCE": AUDIENCE,
                    "TAXIWAY_INGEST_JWKS_FILE": str(self.credentials.jwks_file),
                    "TAXIWAY_INGEST_SIGNING_KEY_FILE": str(self.credentials.signing_key_file),
                    "TAXIWAY_INGEST_PORT": str(ports[0]),
                    "TAXIWAY_INGEST_HEALTH_PORT": health,
                }
            case "scheduler" | "deployer" | "metering" as name:
                prefix = f"TAXIWAY_{name.upper()}"
                own = {f"{prefix}_POSTGRES_DSN": self._dsn(name, "worker"), f"{prefix}_HEALTH_PORT": health}
                return own | ({f"{prefix}_CLUSTER_URL": self._url(WorkerId(CLUSTER), 0)} if name == "deployer" else {})
            case _:
                return {}

    def _start_all(self, workers: Sequence[WorkerId]) -> None:
        """Start side by side: Python takes a second or two to load a service."""
        for worker in workers:
            record = self._file.read()[str(worker)]
            if process.find(record.process) is None:
                launch = launch_of(worker, self.environment_of(worker), self._arguments(worker, record.ports))
                started = process.spawn(launch, self._log(worker))
                self._file.put(str(worker), replace(record, process=started))
        for worker in workers:
            self._wait_ready(worker)

    def _wait_ready(self, worker: WorkerId) -> None:
        record = self._file.read()[str(worker)]
        try:
            process.wait_healthy(
                record.process, lambda: is_ready(worker, record.ports), START_SECONDS, self._log(worker)
            )
        except PartFailed:
            self.kill(worker)
            raise

    def _arguments(self, worker: WorkerId, ports: tuple[int, ...]) -> tuple[str, ...]:
        if worker.name != CLUSTER:
            return ()
        return ("--port", str(ports[0]), "--gateway-port", str(ports[1]), "--nodes", str(self._nodes))

    def _allot(self, worker: WorkerId) -> None:
        """Give a worker its ports, once and for good."""
        records = self._file.read()
        if str(worker) not in records:
            taken = {port for record in records.values() for port in record.ports}
            self._file.put(str(worker), Record(free_ports(worker.port_count, taken), ""))

    def _end(self, worker: WorkerId, how: signal.Signals) -> None:
        record = self._file.read().get(str(worker))
        if record is not None:
            process.stop(record.process, how, STOP_SECONDS)
            self._file.put(str(worker), replace(record, process=None))

    def _describe(self) -> None:
        """Write `platform.json`: it holds a token, so it is its owner's alone."""
        described = {
            "api_url": self._url(WorkerId("ingest_api"), 0),
            "kafka_bootstrap": self.stack.addresses().kafka_bootstrap,
            "gateway_url": self._url(WorkerId(CLUSTER), 1),
            "cluster_url": self._url(WorkerId(CLUSTER), 0),
            "operator_token": self.credentials.operator_token(),
            "health": {name: self._url(WorkerId(name), -1) for name in SERVICES},
            "logs": str(self.state_dir / "logs"),
        }
        draft = self.state_dir / "platform.json.new"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(described, indent=2))
        draft.replace(self.state_dir / "platform.json")

    def _url(self, worker: WorkerId, port: int) -> str:
        return f"http://{LOOPBACK}:{self._file.read()[str(worker)].ports[port]}"

    def _dsn(self, schema: str, part: str) -> str:
        role = roles.role_name(schema, part)
        return roles.dsn_for(self.stack.addresses().postgres_dsn, role, self.credentials.password_of(role))

    def _log(self, worker: WorkerId) -> Path:
        return self.state_dir / "logs" / f"{worker}.log"


def _as_json(part: Any) -> dict[str, Any]:
    return {
        "running": part.running,
        "pid": part.pid,
        "port": part.port,
        "memory_mib": part.memory_mib,
        "log": None if part.log is None else str(part.log),
    }


def _remove(folder: Path) -> None:
    """Remove a state directory's own files; anything else that lies there is not ours."""
    for name in ("credentials", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("workers.json", "platform.json"):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
