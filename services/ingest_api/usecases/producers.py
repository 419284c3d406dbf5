"""Public keys of Kafka producers: registering them, and believing records by them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from schemas.base import MAX_AHEAD
from schemas.envelope import Attributes
from schemas.errors import EnvelopeError, SignatureError
from schemas.signing import key_id_of, public_key_from_text, verify
from schemas.tenant import PLATFORM_TENANT, ProducerKeyRegistered, ProducerKeyRevoked, ProducerScope
from services.ingest_api.domain.identity import Scope
from services.ingest_api.domain.problems import Problem, invalid, not_found
from services.ingest_api.domain.resources import Producer
from services.ingest_api.ports import OpenStores, Stores
from services.ingest_api.usecases.caller import Caller, require
from services.kit.clock import Clock
from services.kit.messaging.origin import Origin
from services.kit.messaging.record import Record


def owner(caller: Caller, scope: ProducerScope) -> UUID:
    """Whose key of this scope the caller manages: its tenant's, or as an operator the platform's; raises `Problem`."""
    if scope is ProducerScope.TENANT:
        require(caller, Scope.ADMIN)
        return caller.tenant_id
    require(caller, Scope.OPERATOR)
    return PLATFORM_TENANT


async def register(stores: Stores, caller: Caller, key_id: str, public_key: str, scope: ProducerScope) -> Producer:
    """Believe a producer from now on; raises `Problem`."""
    try:
        public_key_from_text(public_key)
    except ValueError:
        raise invalid("/public_key", "public_key must be an Ed25519 key: 32 bytes as base64url, no padding") from None
    producer = Producer(
        key_id=key_id,
        tenant_id=owner(caller, scope),
        public_key=public_key,
        scope=scope,
        registered_at=caller.now,
        registered_by=caller.principal.actor,
    )
    if not await stores.producers.add(producer):
        raise Problem("conflict", f"Key id {key_id} is taken: key ids are unique on the platform and never used again.")
    stores.emit(_registered(producer), caller.origin(producer.tenant_id))
    return producer


async def revoke(stores: Stores, caller: Caller, key_id: str, reason: str) -> None:
    """Believe the producer no longer. Nothing is said the second time; raises `Problem` for a key of nobody's.

    The API's own key stays: usage that was accepted under it would not be counted.
    """
    producer = await stores.producers.find(key_id)
    if producer is None:
        raise not_found("producer key")
    if producer.scope is ProducerScope.API:
        raise Problem("conflict", f"Key {key_id} is the API's own: what it accepts could not be counted without it.")
    if await stores.producers.revoke(key_id, caller.now):
        revoked = ProducerKeyRevoked(tenant_id=producer.tenant_id, key_id=key_id, reason=reason)
        stores.emit(revoked, caller.origin(producer.tenant_id))


class PublicKey(Protocol):
    """The public part of the platform's own key."""

    key_id: str
    public_text: str


async def register_platform_key(platform: OpenStores, key: PublicKey, clock: Clock) -> bool:
    """Let all believe the records of this service; False when they do already. Several copies may try at once."""
    producer = Producer(
        key_id=key.key_id,
        tenant_id=PLATFORM_TENANT,
        public_key=key.public_text,
        scope=ProducerScope.API,
        registered_at=clock.now(),
        registered_by="service:ingest_api",
    )
    async with platform(PLATFORM_TENANT) as stores:
        if not await stores.producers.add(producer):
            return False
        stores.emit(_registered(producer), Origin(PLATFORM_TENANT, producer.registered_by))
    return True


def _registered(producer: Producer) -> ProducerKeyRegistered:
    return ProducerKeyRegistered(
        tenant_id=producer.tenant_id,
        key_id=producer.key_id,
        public_key=producer.public_key,
        scope=producer.scope,
    )


MAX_AGE = timedelta(days=37)
"""Of a request at its append: a week in its topic and a month among the dead letters. The inbox remembers it for
longer: a record that somebody kept and sends again is either known or too old."""


def check_time(record: Record, attributes: Attributes) -> None:
    """Raise `EnvelopeError` for a request of the future, or one too old; by the broker's clock, so that a replay judges
    alike."""
    if record.appended_at - attributes.time > MAX_AGE:
        raise EnvelopeError(f"ce_time lies more than {MAX_AGE.days} days back: make the request anew", "ce_time")
    if attributes.time - record.appended_at > MAX_AHEAD:
        text = f"ce_time {attributes.time.isoformat()} lies in the future: set the sender's clock"
        raise EnvelopeError(text, "ce_time")


class Authenticator:
    """Believes a record from outside when a registered key of the tenant that it names has signed it.

    A gateway's key is for usage: it asks for no deployments in a tenant's name.
    """

    def __init__(self, platform: OpenStores) -> None:
        self._platform = platform

    async def __call__(self, record: Record, attributes: Attributes) -> str:
        """The sender's tenant, within which its sources and ids are unique; raises `ContractError`."""
        check_time(record, attributes)
        key_id = key_id_of(record.headers)
        async with self._platform(None) as stores:
            producer = await stores.directory.producer(key_id)
        if producer is None or producer.revoked_at is not None:
            raise SignatureError(f"key {key_id!r} is not registered, or was revoked", "taxiway_signature")
        verify(record.headers, record.value or b"", public_key_from_text(producer.public_key))
        tenant_id = _uuid(attributes.tenantid)
        if producer.scope is not ProducerScope.TENANT or producer.tenant_id != tenant_id:
            raise SignatureError(f"key {key_id!r} does not speak for tenant {attributes.tenantid}", "ce_tenantid")
        if _tenant_in(record.value) not in (None, tenant_id):
            raise SignatureError("the data names another tenant than ce_tenantid", "/tenant_id")
        return str(tenant_id)


def _uuid(text: object) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise SignatureError("ce_tenantid must be the UUID of the signer's tenant", "ce_tenantid") from None


def _tenant_in(value: bytes | None) -> UUID | None:
    """The tenant that the data names; None when it is not readable: the schema check that follows will say so."""
    try:
        named = json.loads(value or b"")["tenant_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return _uuid(named)
