"""Starts and kills metering processes, speaks as producers and as ingest, and reads what was counted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
from confluent_kafka import Producer as KafkaProducer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.local.stack import Addresses
from schemas.base import EventData
from schemas.envelope import Event, Headers, encode
from schemas.signing import public_key_text, sign
from schemas.tenant import (
    PLATFORM_TENANT,
    Limit,
    Meter,
    Plan,
    ProducerKeyRegistered,
    ProducerScope,
    TenantCreated,
    Window,
)
from schemas.topics import METERING_USAGE, QUOTA_EVENTS, USAGE_SAMPLES, dead_letter_name
from schemas.usage import UsageReported, UsageSample
from services.kit.messaging.producer import producer_settings
from services.kit.messaging.record import Record
from services.kit.messaging.topics import provision
from services.kit.persistence import roles
from services.kit.persistence.migrate import upgrade
from services.kit.quota.ledger import DUPLICATES, QuotaUnavailable, RedisQuota, Scope, Usage
from tests.integration.kit.harness import header, read_all

PASSWORD = "metering"
NOON = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
"""When the tests' samples were measured: yesterday."""
DAY = NOON.date()
MONTH = DAY.replace(day=1)


@dataclass(frozen=True)
class Signer:
    """A producer's key."""

    tenant_id: UUID
    scope: ProducerScope = ProducerScope.TENANT
    key_id: str = field(default_factory=lambda: f"key-{uuid4()}")
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)


@dataclass(frozen=True)
class Metering:
    """One database, the contract's topics, and the processes on them."""

    addresses: Addresses
    dsn: str
    redis_url: str
    log: Path
    instance: str = field(default_factory=lambda: uuid4().hex[:8])

    def start(self) -> subprocess.Popen[bytes]:
        """A metering process."""
        environment = os.environ | {
            "TAXIWAY_KAFKA_BOOTSTRAP": self.addresses.kafka_bootstrap,
            "TAXIWAY_REDIS_URL": self.redis_url,
            "TAXIWAY_INSTANCE": self.instance,
            "TAXIWAY_METERING_POSTGRES_DSN": self.dsn,
            "TAXIWAY_METERING_KEY_PATIENCE_SECONDS": "5",
        }
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "services.metering"]
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """A process for the length of the block; SIGTERM at its end must drain it cleanly."""
        process = self.start()
        try:
            yield process
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.terminate()
        assert process.wait(timeout=40) == 0, self.log.read_text()[-4000:]

    def say(self, *events: EventData) -> None:
        """Facts about tenants, as ingest's relay sends them."""
        self._send([(data.topic, *_plain(data)) for data in events])

    def register(self, *signers: Signer) -> None:
        """Make the signers' keys known."""
        self.say(
            *(
                ProducerKeyRegistered(
                    tenant_id=signer.tenant_id,
                    key_id=signer.key_id,
                    public_key=public_key_text(signer.key.public_key()),
                    scope=signer.scope,
                )
                for signer in signers
            )
        )

    def report(self, signer: Signer, *batches: UsageReported, source: str = "/gateway") -> None:
        """Signed usage records, in order."""
        records = []
        for batch in batches:
            key, value, headers = _plain(batch, source)
            records.append((batch.topic, key, value, sign(headers, value, signer.key, signer.key_id)))
        self._send(records)

    def send_raw(self, key: bytes, value: bytes, headers: Headers) -> None:
        """A usage record as it is."""
        self._send([(USAGE_SAMPLES.name, key, value, headers)])

    def _send(self, records: Sequence[tuple[str, bytes, bytes, Headers]]) -> None:
        producer = KafkaProducer(producer_settings(self.addresses.kafka_bootstrap, "test", 20))
        for topic, key, value, headers in records:
            producer.produce(topic, value, key, headers=headers)  # type: ignore[arg-type]
        assert producer.flush(20) == 0

    def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of metering's database."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.dsn)
            try:
                return list(await connection.fetch(query, *arguments))
            finally:
                await connection.close()

        return asyncio.run(run())

    def totals(self, tenant_id: UUID, window: Window = Window.DAY) -> dict[str, int]:
        """What the ledger has for the tenant in the tests' day or month, by meter."""
        rows = self.fetch(
            "SELECT meter, sum(total) AS total FROM usage_total"
            " WHERE tenant_id = $1 AND window_kind = $2 AND window_start = $3 GROUP BY meter",
            tenant_id,
            window.value,
            DAY if window is Window.DAY else MONTH,
        )
        return {row["meter"]: int(row["total"]) for row in rows}

    def samples(self, *tenants: UUID) -> int:
        """Raw samples of the tenants."""
        rows = self.fetch("SELECT count(*) AS n FROM raw_sample WHERE tenant_id = ANY($1::uuid[])", list(tenants))
        return int(rows[0]["n"])

    def settled(self, tenant_id: UUID, window: Window = Window.DAY) -> dict[str, int]:
        """What Redis has for the same, meters without use left out; nothing while its data set is lost."""
        start = DAY if window is Window.DAY else MONTH
        scopes = [Scope(str(tenant_id), meter, window.value, start) for meter in (*Meter, DUPLICATES)]

        async def run() -> list[Usage]:
            quota = RedisQuota(self.redis_url)
            try:
                return await quota.read(scopes)
            except QuotaUnavailable:
                return []
            finally:
                await quota.close()

        usages = asyncio.run(run())
        return {scope.meter: usage.settled for scope, usage in zip(scopes, usages, strict=False) if usage.settled}

    def dead_letters(self, tenant_id: UUID) -> list[str]:
        """Error types of what was set aside under the tenant's record key, in order, each record once."""
        letters = self._of(dead_letter_name(USAGE_SAMPLES.name, METERING_USAGE), tenant_id)
        kinds = {
            int(header(letter, "taxiway_dlq_original_offset")): header(letter, "taxiway_dlq_error_type")
            for letter in letters
        }
        return [kinds[offset] for offset in sorted(kinds)]

    def quota_events(self, tenant_id: UUID) -> list[tuple[str, bytes]]:
        """Type and data of what was said about the tenant's limits, in order."""
        records = self._of(QUOTA_EVENTS.name, tenant_id)
        return [(header(record, "ce_type"), record.value or b"") for record in records]

    def _of(self, topic: str, tenant_id: UUID) -> list[Record]:
        records = read_all(self.addresses.kafka_bootstrap, topic)
        return [record for record in records if record.key == str(tenant_id).encode()]

    def wait(self, check: Callable[[], bool], say: str, seconds: float = 60) -> None:
        """Until `check` holds, for what the process does in its own time; a failure shows its log."""
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"{say}\n{self.log.read_text()[-6000:]}"
            time.sleep(0.05)


def _plain(data: EventData, source: str = "/test") -> tuple[bytes, bytes, Headers]:
    value, headers = encode(Event(id=str(uuid4()), source=source, time=NOON, data=data, tenantid=data.key))
    return data.key.encode(), value, headers


def make_database(addresses: Addresses) -> str:
    """A fresh database with metering's tables; the worker role's DSN."""
    database = f"metering_{uuid4().hex[:12]}"
    asyncio.run(roles.provision(addresses.postgres_dsn, lambda _: PASSWORD, ["metering"], database))
    upgrade("metering", roles.dsn_for(addresses.postgres_dsn, "taxiway_metering_owner", PASSWORD, database))
    return roles.dsn_for(addresses.postgres_dsn, "taxiway_metering_worker", PASSWORD, database)


def make_metering(addresses: Addresses, folder: Path) -> Metering:
    """A fresh database and Redis namespace, and the topics of the contract."""
    provision(addresses.kafka_bootstrap)
    redis_url = addresses.redis_url.rpartition("/")[0] + "/5"
    metering = Metering(addresses, make_database(addresses), redis_url, folder / "metering.log")
    metering.log.touch()
    asyncio.run(forget_quota(redis_url))
    return metering


async def forget_quota(redis_url: str) -> None:
    """Lose the quota data set."""
    quota = RedisQuota(redis_url)
    await quota._redis.flushdb()
    await quota.close()


def sample(number: int, *, tokens: int = 7, hold_id: str | None = None, at: datetime = NOON) -> UsageSample:
    """One request: `tokens` in, twice as many out, one call."""
    amounts = {Meter.INPUT_TOKENS: tokens, Meter.OUTPUT_TOKENS: 2 * tokens, Meter.API_CALLS: 1}
    return UsageSample(id=f"sample-{number}", time=at, amounts=amounts, hold_id=hold_id)


def batch(tenant_id: UUID, samples: Sequence[UsageSample]) -> UsageReported:
    """A record of these samples."""
    return UsageReported(tenant_id=tenant_id, samples=tuple(samples))


def tenant_with_limit(tenant_id: UUID, amount: int, meter: Meter = Meter.API_CALLS) -> TenantCreated:
    """A tenant that may use so much of one meter a day."""
    limits = (Limit(meter=meter, window=Window.DAY, amount=amount),)
    return TenantCreated(tenant_id=tenant_id, name="tenant", plan=Plan(name="small", limits=limits))


def gateway() -> Signer:
    """A producer of the platform, which reports for every tenant."""
    return Signer(PLATFORM_TENANT, ProducerScope.PLATFORM)
