"""Runs the simulators and deployer processes on the real parts, with a small scheduler and traffic of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from infra.local.stack import Addresses
from schemas.deployment import Canary, DeploymentRequested, DeploymentSpec, Gates
from schemas.resources import Resources
from schemas.topics import NODE_EVENTS, ROLLOUT_EVENTS
from services.deployer.domain.capacity import replicas_at
from services.kit.ids import new_id
from tests.fakes.deployer.postgres import DeployerDatabase
from tests.integration.deployer.log import Listening, Telling
from tests.integration.deployer.scheduler import GPUS_PER_NODE, NODES, SmallScheduler

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = (25, 100)


class Traffic:
    """Requests to one deployment through the gateway, steadily, from threads of its own."""

    def __init__(self, url: str, clients: int = 8) -> None:
        self.statuses: Counter[int] = Counter()
        self._url = url
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"client {number}") for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop asking."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._stopping.wait(0.05):
                self.statuses[client.post(self._url, json={"prompt": "a b"}).status_code] += 1


@dataclass
class Platform:
    """One test's deployment, cluster, scheduler, traffic and deployer processes."""

    addresses: Addresses
    database: DeployerDatabase
    folder: Path
    deployment: UUID = field(default_factory=new_id)
    tenant: UUID = field(default_factory=new_id)

    def __post_init__(self) -> None:
        bootstrap = self.addresses.kafka_bootstrap
        self.log = self.folder / "deployer.log"
        self.telling = Telling(bootstrap, self.tenant)
        self.listening = Listening(bootstrap, ROLLOUT_EVENTS, NODE_EVENTS)
        self.simulators = self._start_simulators()
        self.scheduler = SmallScheduler(bootstrap, self.deployment, self.telling)
        self.control = httpx.Client(base_url=self.cluster["control_url"], trust_env=False)
        self.traffic = Traffic(f"{self.cluster['gateway_url']}/{self.deployment}/v1/infer")

    def close(self) -> None:
        """End everything that this made."""
        self.traffic.close()
        self.scheduler.close()
        self.listening.close()
        self.control.close()
        self.simulators.terminate()
        self.simulators.wait(timeout=20)

    def request(self, revision: int, *, replicas: int = 4, **gates: Any) -> None:
        """A revision is wanted, as the ingest service says it."""
        spec = DeploymentSpec(
            name="chat",
            model="llama",
            version=f"v{revision}",
            replicas=replicas,
            resources=Resources(gpu_count=1, gpu_milli=1000, cpu_milli=1000, memory_mib=1024),
            canary=Canary(weights=WEIGHTS, observe_seconds=1.0),
            # The machine of the test may be busy: latency decides only where a test says so.
            gates=Gates(**{"min_samples": 5, "max_latency_p99_ms": 60_000, "max_latency_ratio": 100, **gates}),
        )
        self.telling.tell(
            DeploymentRequested(
                deployment_id=self.deployment,
                revision=revision,
                spec=spec,
                reservation_id=new_id(),
                first_stage_replicas=replicas if revision == 1 else replicas_at(WEIGHTS[0], replicas),
            )
        )

    def behave(self, revision: int, **behaviour: float) -> None:
        """Pods of a revision behave so."""
        self.control.put(f"/behaviours/llama/v{revision}", json=behaviour).raise_for_status()

    def status(self) -> Any:
        """Pods, ready pods, overcommitted devices of the cluster."""
        return self.control.get("/status").json()

    def story(self, revision: int) -> list[str]:
        """What was said about a revision so far, by name, with the weight of shifts."""
        return [
            f"{type(event.data).__name__} {event.data.weight}"
            if hasattr(event.data, "weight")
            else type(event.data).__name__
            for event in list(self.listening.heard)
            if event.data.key == str(self.deployment) and event.data.revision == revision
        ]

    def until(self, check: Callable[[], bool], seconds: float = 60) -> None:
        """Listen until `check` holds."""
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"{self.story(1)} {self.story(2)}"
            self.listening.poll()

    def start(self, instance: str = "0") -> subprocess.Popen[bytes]:
        """A deployer process."""
        environment = os.environ | {
            "TAXIWAY_KAFKA_BOOTSTRAP": self.addresses.kafka_bootstrap,
            "TAXIWAY_REDIS_URL": self.addresses.redis_url,
            "TAXIWAY_INSTANCE": instance,
            "TAXIWAY_SESSION_TIMEOUT_SECONDS": "6",
            "TAXIWAY_DEPLOYER_POSTGRES_DSN": self.database.worker_dsn,
            "TAXIWAY_DEPLOYER_CLUSTER_URL": self.cluster["control_url"],
            "TAXIWAY_DEPLOYER_INTERVAL_SECONDS": "0.25",
            "TAXIWAY_DEPLOYER_NODES_INTERVAL_SECONDS": "0.5",
            "TAXIWAY_DEPLOYER_SCALE_DOWN_DELAY_SECONDS": "0.5",
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "services.deployer"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    @contextmanager
    def running(self, instance: str = "0") -> Iterator[subprocess.Popen[bytes]]:
        """A process for the length of the block; unless it was killed in it, SIGTERM must end it cleanly."""
        process = self.start(instance)
        try:
            yield process
        except BaseException:
            process.kill()
            process.wait()
            print(self.log.read_text()[-6000:], file=sys.stderr)  # noqa: T201
            raise
        if process.poll() is None:
            process.terminate()
            assert process.wait(timeout=40) == 0, self.log.read_text()[-4000:]

    def _start_simulators(self) -> subprocess.Popen[bytes]:
        nodes, state = self.folder / "nodes.csv", self.folder / "simulators.json"
        lines = [f"n{number},64000,262144,{GPUS_PER_NODE},P100\n" for number in range(NODES)]
        nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\n" + "".join(lines))
        command = [sys.executable, "-m", "infra.local.simulators", "--state-file", str(state), "--nodes", str(nodes)]
        with (self.folder / "simulators.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not state.exists():
            assert time.monotonic() < deadline, "the simulators do not serve"
            time.sleep(0.05)
        self.cluster: dict[str, str] = json.loads(state.read_text())
        return process
