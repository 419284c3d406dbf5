"""Who is believed, and for how long an unknown key is waited for."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from schemas.envelope import Event, encode
from schemas.errors import ContractError, EnvelopeError, SignatureError, UnknownEventTypeError
from schemas.signing import SIGNATURE_HEADER, sign
from schemas.tenant import TenantSuspended
from services.kit.clock import HeldClock
from services.metering.domain.errors import ForeignTenantError
from services.metering.entrypoints.intake import Intake
from tests.fakes.metering.ledger import InMemoryProducers
from tests.fakes.metering.records import NOON, Signer, gateway, record, sample, signed

PATIENCE = 10.0


class Waiting:
    """A clock that goes on only by sleeping."""

    def __init__(self, seconds_after_append: float = 0) -> None:
        self.clock = HeldClock(NOON + timedelta(seconds=seconds_after_append))
        self.slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.clock.advance(seconds)


def intake(producers: InMemoryProducers, waiting: Waiting) -> Intake:
    return Intake(producers, waiting.clock, patience_seconds=PATIENCE, sleep=waiting.sleep)


async def test_a_tenants_record_is_read_under_its_own_namespace() -> None:
    tenant_id = uuid4()
    signer = Signer(tenant_id)
    found = await intake(InMemoryProducers(signer.producer), Waiting()).read(
        signed(signer, tenant_id, [sample(1)], partition=3, offset=7)
    )
    assert (found.tenant_id, found.partition, found.offset) == (tenant_id, 3, 7)
    assert found.source == f"{tenant_id} /gateway"


async def test_a_gateway_reports_for_any_tenant_in_its_own_name() -> None:
    tenant_id, platform = uuid4(), gateway()
    found = await intake(InMemoryProducers(platform.producer), Waiting()).read(signed(platform, tenant_id, [sample(1)]))
    assert found.source == f"{platform.tenant_id} /gateway"


async def test_no_tenant_can_speak_in_anothers_namespace_or_name() -> None:
    mine, other = Signer(uuid4()), uuid4()
    reader = intake(InMemoryProducers(mine.producer), Waiting())
    with pytest.raises(ForeignTenantError):
        await reader.read(signed(mine, other, [sample(1)]))
    with pytest.raises(ForeignTenantError):
        await reader.read(signed(mine, mine.tenant_id, [sample(1)], claimed=str(other)))


async def test_a_record_of_another_key_under_a_registered_name_is_refused() -> None:
    owner = Signer(uuid4())
    thief = Signer(owner.tenant_id, key_id=owner.key_id)
    with pytest.raises(SignatureError):
        await intake(InMemoryProducers(owner.producer), Waiting()).read(signed(thief, owner.tenant_id, [sample(1)]))


async def test_other_types_are_refused() -> None:
    signer = Signer(uuid4())
    data = TenantSuspended(tenant_id=signer.tenant_id, reason="none")
    value, headers = encode(Event(id="1", source="/x", time=NOON, data=data))
    with pytest.raises(UnknownEventTypeError):
        await intake(InMemoryProducers(signer.producer), Waiting()).read(
            record(value, sign(headers, value, signer.key, signer.key_id))
        )


@pytest.mark.parametrize("source", ["/a\0b", "/a\nb"])
async def test_sources_that_cannot_be_kept_are_refused(source: str) -> None:
    signer = Signer(uuid4())
    good = signed(signer, signer.tenant_id, [sample(1)])
    headers = [(name, source.encode() if name == "ce_source" else value or b"") for name, value in good.headers]
    with pytest.raises(EnvelopeError, match="ce_source must be"):
        await intake(InMemoryProducers(signer.producer), Waiting()).read(record(good.value, headers))


@pytest.mark.parametrize("token", [b"", b"x", b"a.b.c", b"\xff", b"eyJraWQiOiAxfQ..x", b"." * 5000])
async def test_signatures_that_are_none_are_refused(token: bytes) -> None:
    signer = Signer(uuid4())
    good = signed(signer, signer.tenant_id, [sample(1)])
    headers = [(name, value or b"") for name, value in good.headers if name != SIGNATURE_HEADER]
    with pytest.raises(ContractError):
        await intake(InMemoryProducers(signer.producer), Waiting()).read(
            record(good.value, [*headers, (SIGNATURE_HEADER, token)])
        )


@pytest.mark.parametrize("key_id", ["k" * 129, "nul\0", "line\n"])
async def test_key_ids_that_cannot_be_registered_are_not_looked_up(key_id: str) -> None:
    signer, producers = Signer(uuid4(), key_id=key_id), InMemoryProducers()
    with pytest.raises(SignatureError):
        await intake(producers, Waiting()).read(signed(signer, signer.tenant_id, [sample(1)]))
    assert producers.looked_up == 0


async def test_a_registration_on_its_way_is_waited_for() -> None:
    signer, producers, waiting = Signer(uuid4()), InMemoryProducers(), Waiting()

    async def sleep(seconds: float) -> None:
        await waiting.sleep(seconds)
        if waiting.slept > 3:
            producers.known[signer.key_id] = signer.producer

    reader = Intake(producers, waiting.clock, patience_seconds=PATIENCE, sleep=sleep)
    assert (await reader.read(signed(signer, signer.tenant_id, [sample(1)]))).tenant_id == signer.tenant_id
    assert 3 < waiting.slept < 4


async def test_strangers_keys_delay_the_stream_once_and_not_each() -> None:
    waiting = Waiting()
    reader = intake(InMemoryProducers(), waiting)
    for _ in range(5):
        stranger = Signer(uuid4())
        with pytest.raises(SignatureError):
            await reader.read(signed(stranger, stranger.tenant_id, [sample(1)]))
    assert waiting.slept == pytest.approx(PATIENCE, abs=0.5)


async def test_after_a_start_old_records_wait_too_since_registrations_may_not_be_read_yet() -> None:
    waiting = Waiting(seconds_after_append=3600)
    stranger = Signer(uuid4())
    with pytest.raises(SignatureError):
        await intake(InMemoryProducers(), waiting).read(signed(stranger, stranger.tenant_id, [sample(1)]))
    assert waiting.slept == pytest.approx(PATIENCE, abs=0.5)
