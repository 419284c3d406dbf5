"""Runs the front door on the real parts, and speaks to it as people, gateways and producers do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time as clock
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from confluent_kafka import Producer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.local.stack import Addresses
from schemas.base import EventData
from schemas.envelope import Event, Headers, encode
from schemas.signing import public_key_text, sign
from services.kit.ids import new_id
from services.kit.messaging.producer import producer_settings
from tests.fakes.ingest_api.builders import NOW
from tests.fakes.ingest_api.credentials import ISSUER, Issuer, pem_of
from tests.fakes.ingest_api.postgres import IngestDatabase

ROOT = Path(__file__).resolve().parents[3]
PLAN = {
    "name": "team",
    "max_models": 3,
    "limits": [{"meter": "input_tokens", "window": "day", "amount": 1000}],
}
SPEC = {
    "name": "chat",
    "model": "llama",
    "version": "1.0",
    "replicas": 4,
    "resources": {"gpu_count": 1, "gpu_milli": 500, "cpu_milli": 4000, "memory_mib": 8192},
}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class FrontDoor:
    """The parts, a database, credentials, and where the process listens."""

    addresses: Addresses
    database: IngestDatabase
    folder: Path
    issuer: Issuer = field(default_factory=Issuer)
    signing_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    instance: str = field(default_factory=lambda: uuid4().hex[:8])

    @property
    def log(self) -> Path:
        """What the processes logged."""
        return self.folder / "ingest.log"

    @property
    def redis_url(self) -> str:
        """A Redis database that other tests leave alone."""
        return self.addresses.redis_url.rpartition("/")[0] + "/7"

    def start(self, **overrides: str) -> subprocess.Popen[bytes]:
        """A process; overrides are environment variables."""
        key_file = self.folder / "ingest.pem"
        key_file.write_bytes(pem_of(self.signing_key))
        environment = os.environ | {
            "TAXIWAY_KAFKA_BOOTSTRAP": self.addresses.kafka_bootstrap,
            "TAXIWAY_REDIS_URL": self.redis_url,
            "TAXIWAY_INSTANCE": self.instance,
            "TAXIWAY_SESSION_TIMEOUT_SECONDS": "6",
            "TAXIWAY_INGEST_POSTGRES_DSN": self.database.app_dsn,
            "TAXIWAY_INGEST_WORKER_DSN": self.database.worker_dsn,
            "TAXIWAY_INGEST_JWT_ISSUER": ISSUER,
            "TAXIWAY_INGEST_JWKS_FILE": str(self.issuer.write_jwks(self.folder / "jwks.json")),
            "TAXIWAY_INGEST_SIGNING_KEY_FILE": str(key_file),
            "TAXIWAY_INGEST_PORT": str(self.port),
            "TAXIWAY_INGEST_HEALTH_PORT": str(self.health_port),
            **overrides,
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "services.ingest_api"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    @contextmanager
    def running(self, **overrides: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process for the length of the block; unless it was killed in it, SIGTERM must end it cleanly."""
        process = self.start(**overrides)
        try:
            eventually(self.answers, say="it does not listen")
            yield process
        except BaseException:
            process.kill()
            process.wait()
            print(self.log.read_text()[-6000:], file=sys.stderr)  # noqa: T201
            raise
        if process.poll() is None:
            process.terminate()
            assert process.wait(timeout=40) == 0, self.log.read_text()[-4000:]

    def answers(self) -> bool:
        """Whether it listens."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/api/v1/docs").status_code == 200
        except httpx.TransportError:
            return False

    def client(self, credential: str = "") -> Client:
        """A caller with this credential."""
        return Client(self, credential)

    @property
    def operator(self) -> Client:
        """Who runs the platform."""
        return self.client(self.issuer.token("root", "operator"))

    def tenant(self, plan: Mapping[str, Any] = PLAN) -> Account:
        """A fresh tenant with a model and an admin's API key."""
        name = f"acme-{uuid4().hex[:12]}"
        created = self.operator.post("/tenants", {"name": name, "plan": plan}).json()
        tenant_id = created["tenant_id"]
        key = self.operator.post(f"/tenants/{tenant_id}/keys", {"name": "ci", "scopes": ["admin"]}).json()
        return Account(self, UUID(tenant_id), name, self.client(key["token"]))


@dataclass(frozen=True)
class Client:
    """Speaks HTTP; each write gets a fresh Idempotency-Key unless one is given."""

    door: FrontDoor
    credential: str

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request; paths without `/api` are under the API's base."""
        headers = {"Authorization": f"Bearer {self.credential}"} if self.credential else {}
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid4())
        headers |= options.pop("headers", {})
        path = path if path.startswith("/api") else f"/api/v1{path}"
        url = f"http://127.0.0.1:{self.door.port}{path}"
        return httpx.request(method, url, headers=headers, timeout=30, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, key: str | None = None, **options: Any) -> httpx.Response:
        """POST; `key` is the Idempotency-Key."""
        if key is not None:
            options["headers"] = {"Idempotency-Key": key} | options.get("headers", {})
        return self.send("POST", path, json=body, **options)

    def patch(self, path: str, body: Any) -> httpx.Response:
        """PATCH."""
        return self.send("PATCH", path, json=body)

    def put(self, path: str, body: Any) -> httpx.Response:
        """PUT."""
        return self.send("PUT", path, json=body)

    def delete(self, path: str) -> httpx.Response:
        """DELETE."""
        return self.send("DELETE", path)


@dataclass(frozen=True)
class Account:
    """A tenant and its admin."""

    door: FrontDoor
    tenant_id: UUID
    name: str
    api: Client

    def register_model(self, *versions: str) -> None:
        """Model `llama` with these versions."""
        assert self.api.post("/models", {"name": "llama"}).status_code == 201
        for version in versions:
            assert self.api.post("/models/llama/versions", {"version": version}).status_code == 201

    def deploy(self, **changes: Any) -> str:
        """A new deployment; returns its id."""
        answer = self.api.post("/deployments", SPEC | changes)
        assert answer.status_code == 202, answer.text
        deployment_id: str = answer.json()["deployment_id"]
        return deployment_id

    def register_producer(self) -> tuple[str, Ed25519PrivateKey]:
        """A Kafka producer's key; returns its id and the private key."""
        key, key_id = Ed25519PrivateKey.generate(), f"producer-{uuid4().hex}"
        body = {"key_id": key_id, "public_key": public_key_text(key.public_key())}
        assert self.api.post("/producers", body).status_code == 201
        return key_id, key

    def tell(self, *messages: EventData, actor: str = "service:test") -> list[str]:
        """Events about this tenant, as other services send them; returns their ids."""
        events = [Event(str(new_id()), "/taxiway/test", NOW, data, str(self.tenant_id), actor) for data in messages]
        produce(
            self.door.addresses.kafka_bootstrap, *((event.data.topic, event.key, *encode(event)) for event in events)
        )
        return [event.id for event in events]

    def request(
        self,
        data: EventData,
        key_id: str,
        key: Ed25519PrivateKey,
        source: str = "/ci",
        time: datetime | None = None,
        topic: str | None = None,
    ) -> str:
        """A signed record from outside; returns its id."""
        event = Event(str(new_id()), source, time or datetime.now(UTC), data, str(self.tenant_id))
        value, headers = encode(event)
        signed = sign(headers, value, key, key_id)
        produce(self.door.addresses.kafka_bootstrap, (topic or data.topic, data.key, value, signed))
        return event.id

    def shows(self, deployment_id: str, **fields: Any) -> Callable[[], bool]:
        """A check that the deployment is shown with these fields."""

        def check() -> bool:
            answer = self.api.get(f"/deployments/{deployment_id}")
            return answer.status_code == 200 and fields.items() <= answer.json().items()

        return check


def produce(bootstrap: str, *records: tuple[str, str, bytes, Headers]) -> None:
    """Topic, key, value and headers, in order."""
    producer = Producer(producer_settings(bootstrap, "test", 20))
    for topic, key, value, headers in records:
        producer.produce(topic, value, key, headers=list(headers))
    assert producer.flush(20) == 0


def eventually(check: Callable[[], bool], seconds: float = 40, say: str = "it did not happen") -> None:
    """Wait for what another process does in its own time."""
    deadline = clock.monotonic() + seconds
    while not check():
        assert clock.monotonic() < deadline, say
        clock.sleep(0.05)
