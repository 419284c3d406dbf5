"""From a record of outside to a report that may be counted: who signed it, and whether it says what it may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from schemas.envelope import Attributes, parse_data, read_attributes
from schemas.errors import SignatureError, UnknownEventTypeError
from schemas.signing import SIGNATURE_HEADER, key_id_of, public_key_from_text, verify
from schemas.usage import UsageReported
from services.kit.clock import Clock
from services.kit.messaging.record import Record
from services.metering.domain import admission
from services.metering.domain.model import Producer, Report
from services.metering.ports import Producers

LOOK_AGAIN_SECONDS = 0.2

Sleep = Callable[[float], Awaitable[None]]


class Intake:
    """Reads records and verifies their senders."""

    def __init__(
        self, producers: Producers, clock: Clock, *, patience_seconds: float, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._producers = producers
        self._clock = clock
        self._patience = timedelta(seconds=patience_seconds)
        self._sleep = sleep
        self._started_at = clock.now()

    async def read(self, record: Record) -> Report:
        """The verified report; raises `ContractError` when it must not be counted, `TransientError` when away."""
        value = record.value or b""
        admission.check_size(value)
        attributes = read_attributes(record.headers)
        if attributes.type != UsageReported.type:
            raise UnknownEventTypeError(attributes.type)
        producer = await self._signer(record)
        verify(record.headers, value, public_key_from_text(producer.public_key))
        data = parse_data(attributes.type, value, lenient=False)
        assert isinstance(data, UsageReported)  # noqa: S101  the registry maps the type to this model
        return _checked(record, attributes, producer, data)

    async def _signer(self, record: Record) -> Producer:
        """The registered key that the record names, waited for while its registration may be on the way.

        The wait ends a fixed time after the record was appended (or this process started, for then the registrations
        may not be read yet): so strangers' keys delay the stream by that time once, not once each.
        """
        key_id = key_id_of(record.headers)
        while (producer := await self._producers.find(key_id)) is None:
            if not self._may_be_on_the_way(record.appended_at):
                raise SignatureError(f"key {key_id!r} is not registered, or is revoked", SIGNATURE_HEADER)
            await self._sleep(LOOK_AGAIN_SECONDS)
        return producer

    def _may_be_on_the_way(self, appended_at: datetime) -> bool:
        return self._clock.now() < max(appended_at, self._started_at) + self._patience


def _checked(record: Record, attributes: Attributes, producer: Producer, data: UsageReported) -> Report:
    admission.check_tenant(producer, data, attributes.tenantid)
    admission.check_times(data, record.appended_at)
    return Report(
        tenant_id=data.tenant_id,
        source=f"{admission.speaker(producer, data)} {attributes.source}",
        samples=data.samples,
        partition=record.partition,
        offset=record.offset,
        event_id=attributes.id,
    )
