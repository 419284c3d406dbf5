"""Usage records: signed with the platform's ingest key, delivered before anybody is told so."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from schemas.envelope import Event, encode
from schemas.signing import public_key_text, sign
from schemas.usage import MAX_RECORD_BYTES, UsageReported
from services.ingest_api.domain.problems import Problem
from services.kit.messaging.producer import ProducerBridge


class SigningKey:
    """The platform's ingest key: its records are believed for every tenant."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.key = key
        self.public_text = public_key_text(key.public_key())
        digest = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()
        self.key_id = f"taxiway-ingest-{digest[:16]}"
        """The same for the same key, so that all copies and all starts agree on it."""


def load_signing_key(path: Path) -> SigningKey:
    """The Ed25519 key in a PEM file (PKCS#8, no password); raises ValueError or OSError."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} does not hold an Ed25519 private key")
    return SigningKey(key)


class KafkaUsageLog:
    """`UsageLog`."""

    def __init__(self, producer: ProducerBridge, key: SigningKey) -> None:
        self._producer = producer
        self._key = key

    async def append(self, event: Event[UsageReported]) -> None:
        """See the port."""
        value, headers = encode(event)
        if len(value) > MAX_RECORD_BYTES:
            raise Problem("body-too-large", f"These samples need {len(value)} bytes of {MAX_RECORD_BYTES}: send fewer.")
        signed = sign(headers, value, self._key.key, self._key.key_id)
        await self._producer.send(event.data.topic, event.key.encode(), value, signed)
