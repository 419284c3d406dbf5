"""Requests from outside: whom a signature lets speak, and what becomes of a good and of a refused request."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.deployment import DeploymentRejected, DeploymentRequested, DeployModel
from schemas.envelope import Event, Headers, encode, read_attributes
from schemas.errors import ContractError, EnvelopeError, SignatureError
from schemas.signing import public_key_text, sign
from schemas.tenant import PLATFORM_TENANT, ProducerScope
from services.ingest_api.domain.resources import Producer
from services.ingest_api.usecases.producers import Authenticator
from services.kit.messaging.record import Record
from tests.fakes.ingest_api.builders import NOW, TENANT, event, spec
from tests.fakes.ingest_api.front import Front

OTHER = UUID(int=77)
KEY = Ed25519PrivateKey.generate()
ASKED = DeployModel(tenant_id=TENANT, spec=spec())


async def believe(front: Front, scope: ProducerScope = ProducerScope.TENANT, owner: UUID = TENANT) -> None:
    """Register the key as p-1."""
    async with front.door.open(owner) as stores:
        await stores.producers.add(
            Producer(
                key_id="p-1",
                tenant_id=owner,
                public_key=public_key_text(KEY.public_key()),
                scope=scope,
                registered_at=NOW,
                registered_by="user:ann",
            )
        )


def record(
    asked: Event[Any] | None = None, *, key: Ed25519PrivateKey = KEY, key_id: str = "p-1", value: bytes | None = None
) -> Record:
    """A signed record, as it was read from the log at noon."""
    asked = asked or Event("r-1", "/ci", NOW, ASKED, str(TENANT))
    encoded, headers = encode(asked)
    content = encoded if value is None else value
    signed = sign(headers, content, key, key_id)
    return of(content, signed)


def of(value: bytes, headers: Headers) -> Record:
    """A record at noon."""
    return Record(ASKED.topic, 0, 0, b"k", value, [*headers], int(NOW.timestamp() * 1000))


async def authenticate(front: Front, read: Record) -> str:
    """The sender's namespace."""
    return await Authenticator(front.door.open)(read, read_attributes(read.headers))


async def test_a_registered_key_of_the_tenant_is_believed(front: Front) -> None:
    await believe(front)
    assert await authenticate(front, record()) == str(TENANT)


@pytest.mark.parametrize("age", [timedelta(days=37), timedelta(0), timedelta(seconds=-60)])
async def test_a_request_that_waited_in_the_dead_letters_is_believed_too(front: Front, age: timedelta) -> None:
    await believe(front)
    assert await authenticate(front, record(Event("r-1", "/ci", NOW - age, ASKED, str(TENANT)))) == str(TENANT)


@pytest.mark.parametrize("age", [timedelta(days=37, seconds=1), timedelta(minutes=-10)])
async def test_a_request_of_long_ago_or_of_the_future_is_not(front: Front, age: timedelta) -> None:
    await believe(front)
    with pytest.raises(EnvelopeError, match="ce_time"):
        await authenticate(front, record(Event("r-1", "/ci", NOW - age, ASKED, str(TENANT))))


async def test_neither_an_unknown_nor_a_revoked_key_is_believed(front: Front) -> None:
    with pytest.raises(SignatureError, match="not registered"):
        await authenticate(front, record())
    await believe(front)
    async with front.door.open(TENANT) as stores:
        await stores.producers.revoke("p-1", NOW)
    with pytest.raises(SignatureError, match="revoked"):
        await authenticate(front, record())


async def test_another_key_under_the_same_name_is_not_believed(front: Front) -> None:
    await believe(front)
    with pytest.raises(SignatureError):
        await authenticate(front, record(key=Ed25519PrivateKey.generate()))


async def test_what_was_changed_after_signing_is_not_believed(front: Front) -> None:
    await believe(front)
    good = record()
    for bad in (
        good._replace(value=(good.value or b"").replace(b"chat", b"chap")),
        good._replace(headers=[(name, b"r-2" if name == "ce_id" else value) for name, value in good.headers]),
        good._replace(headers=[(name, b"/x" if name == "ce_source" else value) for name, value in good.headers]),
        good._replace(headers=[each for each in good.headers if each[0] != "taxiway_signature"]),
    ):
        with pytest.raises(ContractError):
            await authenticate(front, bad)


@pytest.mark.parametrize(
    ("envelope", "data"), [(OTHER, TENANT), (TENANT, OTHER), (OTHER, OTHER)], ids=["envelope", "data", "both"]
)
async def test_a_tenants_key_speaks_for_no_other_tenant(front: Front, envelope: UUID, data: UUID) -> None:
    await believe(front)
    asked = DeployModel(tenant_id=data, spec=spec())
    with pytest.raises(SignatureError):
        await authenticate(front, record(Event("r-1", "/ci", NOW, asked, str(envelope))))


@pytest.mark.parametrize("scope", [ProducerScope.PLATFORM, ProducerScope.API])
async def test_a_gateways_key_asks_for_no_deployments(front: Front, scope: ProducerScope) -> None:
    await believe(front, scope, PLATFORM_TENANT)
    for tenant_id in (TENANT, PLATFORM_TENANT):
        asked = DeployModel(tenant_id=tenant_id, spec=spec())
        with pytest.raises(SignatureError, match="does not speak"):
            await authenticate(front, record(Event("r-1", "/ci", NOW, asked, str(tenant_id))))


@pytest.mark.parametrize("value", [b"\xff", b"[]", b"{}", b"[" * 100_000])
async def test_data_that_says_no_tenant_is_left_to_the_schema_check(front: Front, value: bytes) -> None:
    await believe(front)
    assert await authenticate(front, record(value=value)) == str(TENANT)


def asked_by(**changes: Any) -> Event[Any]:
    """A request, as it comes to the handler."""
    return replace(event(DeployModel(tenant_id=TENANT, spec=spec(**changes))), source="/ci", actor="user:forged")


async def test_a_request_is_admitted_in_its_producers_name(front: Front) -> None:
    request = asked_by()
    await front.ask(request)
    (said,) = front.said()
    assert isinstance(said.data, DeploymentRequested)
    assert (said.actor, said.tenantid) == ("producer:/ci", str(TENANT)), "its own actor is not under the signature"
    assert (said.causationid, said.correlationid) == (request.id, request.id)
    (shown,) = (await front.get("/deployments"))["items"]
    assert (shown["name"], shown["state"]) == ("chat", "requested")


async def test_a_second_request_for_a_name_is_its_next_revision(front: Front) -> None:
    await front.ask(asked_by())
    await front.ask(asked_by(version="2.0"))
    first, second = front.said(DeploymentRequested)
    assert (second.data.deployment_id, second.data.revision) == (first.data.deployment_id, 2)


async def test_a_request_that_is_refused_is_answered_with_every_reason_and_changes_nothing(front: Front) -> None:
    request = asked_by(model="nobodys")
    await front.ask(request)
    (said,) = front.said()
    assert isinstance(said.data, DeploymentRejected)
    assert (said.data.name, said.data.code) == ("chat", "model-not-found")
    assert [each.pointer for each in said.data.violations] == ["/model"]
    assert said.correlationid == request.id
    assert (await front.get("/deployments"))["items"] == []


async def test_a_refusal_of_a_change_is_about_the_deployment_that_has_the_name(front: Front) -> None:
    await front.ask(asked_by())
    await front.ask(asked_by())
    (requested,), (rejected,) = front.said(DeploymentRequested), front.said(DeploymentRejected)
    assert rejected.data.deployment_id == requested.data.deployment_id
    assert rejected.data.code == "no-change"


async def test_an_event_of_no_tenant_is_in_nobodys_history(front: Front) -> None:
    deployment_id = await front.deploy()
    happened = replace(event(DeploymentRequested(**front.said()[0].data.model_dump())), tenantid=None)
    await front.learn(happened)
    assert (await front.get(f"/deployments/{deployment_id}/history"))["items"] == []
    assert front.rung == []
