"""Builders of samples, signers and signed records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.envelope import Event, Headers, encode
from schemas.signing import public_key_text, sign
from schemas.tenant import PLATFORM_TENANT, Meter, ProducerScope
from schemas.topics import USAGE_SAMPLES
from schemas.usage import UsageReported, UsageSample
from services.kit.messaging.record import Record
from services.metering.domain.model import Producer

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
"""When the tests' samples were measured, and their records appended."""


@dataclass(frozen=True)
class Signer:
    """A producer and its private key."""

    tenant_id: UUID
    scope: ProducerScope = ProducerScope.TENANT
    key_id: str = field(default_factory=lambda: f"key-{uuid4()}")
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def producer(self) -> Producer:
        """What is registered of it."""
        return Producer(self.key_id, self.tenant_id, public_key_text(self.key.public_key()), self.scope)


def gateway() -> Signer:
    """A producer of the platform, which reports for every tenant."""
    return Signer(PLATFORM_TENANT, ProducerScope.PLATFORM)


def sample(
    number: int, *, tokens: int = 7, calls: int = 1, hold_id: str | None = None, at: datetime = NOON
) -> UsageSample:
    """One request: `tokens` in and `calls` calls."""
    amounts = {Meter.INPUT_TOKENS: tokens, Meter.API_CALLS: calls}
    return UsageSample(id=f"sample-{number}", time=at, amounts=amounts, hold_id=hold_id)


def signed(
    signer: Signer,
    tenant_id: UUID,
    samples: Sequence[UsageSample],
    *,
    partition: int = 0,
    offset: int = 0,
    source: str = "/gateway",
    claimed: str | None = None,
) -> Record:
    """The record of a report, as it is read from the topic."""
    data = UsageReported(tenant_id=tenant_id, samples=tuple(samples))
    event = Event(id=f"event-{offset}", source=source, time=NOON, data=data, tenantid=claimed or str(tenant_id))
    value, headers = encode(event)
    return record(value, sign(headers, value, signer.key, signer.key_id), partition=partition, offset=offset)


def record(value: bytes | None, headers: Headers, *, partition: int = 0, offset: int = 0) -> Record:
    """Any record of the topic."""
    at = round(NOON.timestamp() * 1000)
    return Record(USAGE_SAMPLES.name, partition, offset, b"tenant", value, list(headers), at)
