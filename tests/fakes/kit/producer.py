"""The producer bridge without Kafka."""

from __future__ import annotations

from typing import NamedTuple

from services.kit.messaging.producer import DeliveryReport, RecordHeaders


class Sent(NamedTuple):
    """What was sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class InMemoryProducer:
    """Keeps what is sent; fails as told before."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.failures: list[Exception | None] = []
        """What becomes of the next calls, one after the other; None is delivered."""

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: RecordHeaders) -> DeliveryReport:
        """See `ProducerBridge.send`."""
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        self.sent.append(Sent(topic, key, value, list(headers)))
        return DeliveryReport(0, len(self.sent) - 1)
