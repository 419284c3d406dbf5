"""A plain Kafka producer of a tenant: CloudEvents in binary mode, signed with the tenant's own key."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from confluent_kafka import KafkaError, Message, Producer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.base import EventData
from schemas.envelope import Event, Headers, encode
from schemas.signing import public_key_text, sign


class SigningProducer:
    """What a tenant's program needs to talk to Taxiway over Kafka."""

    def __init__(self, bootstrap: str, tenant_id: str, name: str) -> None:
        self.tenant_id = tenant_id
        self.key_id = f"{name}-producer"
        self.key = Ed25519PrivateKey.generate()
        self._source = f"/producers/{name}"
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "log_level": 2,  # at the end of the demo Kafka is stopped first, which is no error of a person's
            }
        )
        self._failures: list[str] = []

    @property
    def public_key(self) -> str:
        """What is registered with the platform."""
        return public_key_text(self.key.public_key())

    def send(self, data: EventData, *, source: str | None = None, signer: Ed25519PrivateKey | None = None) -> str:
        """Send one signed event; returns its id. Another `signer` makes a signature that does not verify."""
        event = Event(
            id=str(uuid4()),
            source=source or self._source,
            time=datetime.now(UTC),
            data=data,
            tenantid=self.tenant_id,
        )
        value, headers = encode(event)
        self.send_raw(data.topic, event.key, value, sign(headers, value, signer or self.key, self.key_id))
        return event.id

    def send_raw(self, topic: str, key: str, value: bytes, headers: Headers) -> None:
        """Send bytes as they are."""
        pairs: list[tuple[str, str | bytes | None]] = [*headers]
        self._producer.produce(topic, value, key, headers=pairs, on_delivery=self._delivered)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything is delivered; raises RuntimeError for what was not."""
        left = self._producer.flush(30)
        if left or self._failures:
            raise RuntimeError(f"{left} messages were not delivered; {self._failures[:3]}")

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failures.append(str(error))
