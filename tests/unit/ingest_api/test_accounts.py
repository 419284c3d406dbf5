"""Tenants, API keys and producers' keys: who may do what, what is said of it, and what is shown once or never."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.signing import public_key_text
from schemas.tenant import (
    PLATFORM_TENANT,
    PlanChanged,
    ProducerKeyRegistered,
    ProducerKeyRevoked,
    ProducerScope,
    TenantCreated,
    TenantResumed,
    TenantSuspended,
)
from services.ingest_api.usecases.producers import register_platform_key
from services.kit.clock import HeldClock
from tests.fakes.ingest_api.application import ADMIN, OPERATOR
from tests.fakes.ingest_api.builders import NOW, TENANT
from tests.fakes.ingest_api.front import Front, problem

PLAN = {"name": "team", "max_models": 3}
OWN = f"/tenants/{TENANT}"
PUBLIC = public_key_text(Ed25519PrivateKey.generate().public_key())


async def test_an_operator_creates_a_tenant_and_all_hear_of_it(front: Front) -> None:
    answer = await front.send("POST", "/tenants", {"name": "globex", "plan": PLAN}, credential=OPERATOR)
    created = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/tenants/{created['tenant_id']}"
    (said,) = front.said(TenantCreated)
    assert (str(said.data.tenant_id), said.data.name, said.actor) == (created["tenant_id"], "globex", "user:root")
    assert said.tenantid == created["tenant_id"]
    assert said.correlationid == answer.headers["x-trace-id"]
    assert await front.get(f"/tenants/{created['tenant_id']}", credential=OPERATOR) == created


async def test_a_name_that_is_taken_is_a_conflict_and_nobody_hears_of_it(front: Front) -> None:
    answer = await front.send("POST", "/tenants", {"name": "acme", "plan": PLAN}, credential=OPERATOR)
    assert problem(answer)[:2] == (409, "conflict")
    assert front.said() == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/tenants", {"name": "globex", "plan": PLAN}),
        ("GET", "/tenants", None),
        ("PUT", f"{OWN}/quota", PLAN),
        ("POST", f"{OWN}/suspend", {"reason": "unpaid"}),
        ("POST", f"{OWN}/resume", {"reason": "paid"}),
        ("GET", "/capacity", None),
        ("GET", "/lag", None),
    ],
)
async def test_what_is_an_operators_no_admin_of_a_tenant_may_do(
    front: Front, method: str, path: str, body: Any
) -> None:
    assert problem(await front.send(method, path, body))[:2] == (403, "forbidden")
    assert front.said() == []


async def test_a_tenant_sees_itself_and_no_other_one(front: Front) -> None:
    other = await front.tenant_of("globex")
    assert (await front.get(OWN))["name"] == "acme"
    for method, path in (("GET", ""), ("GET", "/keys"), ("DELETE", "/keys/k1")):
        assert problem(await front.send(method, f"/tenants/{other}{path}"))[:2] == (404, "not-found")
    listed = await front.get("/tenants", credential=OPERATOR)
    assert [each["name"] for each in listed["items"]] == ["acme", "globex"]


async def test_a_plan_is_changed_and_told_once(front: Front) -> None:
    for _ in range(2):
        changed = await front.send("PUT", f"{OWN}/quota", PLAN, credential=OPERATOR)
        assert changed.json()["plan"]["max_models"] == 3
    (said,) = front.said(PlanChanged)
    assert said.data.plan.max_models == 3
    assert (await front.get(OWN))["plan"]["max_models"] == 3


async def test_how_many_requests_may_wait_is_part_of_the_plan(front: Front) -> None:
    assert (await front.get(OWN))["plan"]["max_waiting_requests"] == 1000
    await front.send("PUT", f"{OWN}/quota", PLAN | {"max_waiting_requests": 0}, credential=OPERATOR)
    (said,) = front.said(PlanChanged)
    assert said.data.plan.max_waiting_requests == 0
    assert (await front.get(OWN))["plan"]["max_waiting_requests"] == 0
    await front.send("PUT", f"{OWN}/quota", PLAN, credential=OPERATOR)
    assert (await front.get(OWN))["plan"]["max_waiting_requests"] == 1000


@pytest.mark.parametrize("number", [-1, 2**53 + 1, "many"])
async def test_what_is_no_number_of_waiting_requests_is_refused(front: Front, number: Any) -> None:
    answer = await front.send("PUT", f"{OWN}/quota", PLAN | {"max_waiting_requests": number}, credential=OPERATOR)
    assert problem(answer)[:2] == (422, "invalid-request")
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/max_waiting_requests"]
    assert front.said() == []


async def test_a_suspension_is_told_once_and_ended_once(front: Front) -> None:
    for reason in ("unpaid", "again"):
        await front.post(f"{OWN}/suspend", {"reason": reason}, credential=OPERATOR)
    assert (await front.get(OWN))["suspended_reason"] == "unpaid"
    for _ in range(2):
        await front.post(f"{OWN}/resume", {"reason": "paid"}, credential=OPERATOR)
    assert (await front.get(OWN))["suspended_reason"] is None
    assert [each.data.reason for each in front.said(TenantSuspended)] == ["unpaid"]
    assert [each.data.reason for each in front.said(TenantResumed)] == ["paid"]


async def test_of_a_tenant_that_is_not_there_nothing_can_be_changed(front: Front) -> None:
    nobody = "/tenants/00000000-0000-0000-0000-00000000dead"
    for method, path, body in (
        ("GET", nobody, None),
        ("PUT", f"{nobody}/quota", PLAN),
        ("POST", f"{nobody}/suspend", {"reason": "x"}),
        ("POST", f"{nobody}/keys", {"name": "ci", "scopes": ["read"]}),
        ("GET", f"{nobody}/keys", None),
    ):
        assert problem(await front.send(method, path, body, credential=OPERATOR))[:2] == (404, "not-found"), path


async def key(front: Front, *scopes: str, **fields: Any) -> dict[str, Any]:
    """A new API key of the tenant."""
    created: dict[str, Any] = await front.post(f"{OWN}/keys", {"name": "ci", "scopes": scopes, **fields})
    return created


async def test_a_keys_token_is_shown_once_and_stored_nowhere(front: Front) -> None:
    options: dict[str, Any] = {"headers": {"Idempotency-Key": "k"}}
    body = {"name": "ci", "scopes": ["deploy"]}
    first = await front.send("POST", f"{OWN}/keys", body, **options)
    again = await front.send("POST", f"{OWN}/keys", body, **options)
    assert first.json()["token"] == f"tw_live_{first.json()['key_id']}_secret"
    assert again.json() == first.json() | {"token": None}
    (listed,) = (await front.get(f"{OWN}/keys"))["items"]
    assert set(listed) == set(first.json()) - {"token"}
    assert (listed["created_by"], listed["scopes"]) == ("user:ann", ["deploy"])
    assert b"secret" not in front.door.tables.keys[listed["key_id"]].secret_hash


async def test_a_key_is_its_tenants_credential_with_its_scopes(front: Front) -> None:
    token = (await key(front, "deploy"))["token"]
    created = await front.send("POST", "/models", {"name": "code"}, credential=token)
    assert created.status_code == 201
    assert problem(await front.send("GET", f"{OWN}/keys", credential=token))[:2] == (403, "forbidden")
    registering = {"key_id": "p", "public_key": PUBLIC}
    assert problem(await front.send("POST", "/producers", registering, credential=token))[:2] == (403, "forbidden")
    answer = await front.send("GET", "/models", headers={"X-API-Key": token, "Authorization": ""})
    assert answer.status_code == 200


async def test_a_revoked_an_expired_and_a_made_up_key_are_worth_nothing(front: Front) -> None:
    revoked = await key(front, "read")
    expiring = await key(front, "read", expires_at=(NOW + timedelta(hours=1)).isoformat())
    assert (await front.send("GET", "/models", credential=expiring["token"])).status_code == 200
    assert (await front.send("DELETE", f"{OWN}/keys/{revoked['key_id']}")).status_code == 204
    front.clock.advance(7200)
    for token in (revoked["token"], expiring["token"], "tw_live_nobodys_secret", f"{revoked['token']}x"):
        answer = await front.send("GET", "/models", credential=token)
        assert problem(answer)[:2] == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "ci", "scopes": ["operator"]}, "/scopes"),
        ({"name": "ci", "scopes": ["read"], "expires_at": NOW.isoformat()}, "/expires_at"),
        ({"name": "ci", "scopes": []}, "/scopes"),
        ({"name": "", "scopes": ["read"]}, "/name"),
    ],
)
async def test_a_key_that_cannot_be_is_refused_with_the_field(front: Front, body: Any, pointer: str) -> None:
    answer = await front.send("POST", f"{OWN}/keys", body)
    assert problem(answer)[2] == [pointer]
    assert front.door.tables.keys == {}


async def test_a_key_that_is_not_the_tenants_cannot_be_revoked(front: Front) -> None:
    assert problem(await front.send("DELETE", f"{OWN}/keys/nobodys"))[:2] == (404, "not-found")


async def test_a_producer_is_registered_and_revoked_in_the_open(front: Front) -> None:
    await front.post("/producers", {"key_id": "p-1", "public_key": PUBLIC})
    (registered,) = front.said(ProducerKeyRegistered)
    assert (registered.data.tenant_id, registered.data.key_id, registered.data.public_key) == (TENANT, "p-1", PUBLIC)
    assert (registered.data.scope, registered.actor) == (ProducerScope.TENANT, "user:ann")
    for _ in range(2):
        assert (await front.send("DELETE", "/producers/p-1?reason=lost")).status_code == 204
    (revoked,) = front.said(ProducerKeyRevoked)
    assert (revoked.data.key_id, revoked.data.reason) == ("p-1", "lost")
    (listed,) = (await front.get("/producers"))["items"]
    assert listed["revoked_at"] is not None


async def test_a_key_id_is_never_used_again_by_anybody(front: Front) -> None:
    body = {"key_id": "p-1", "public_key": PUBLIC}
    await front.post("/producers", body)
    await front.send("DELETE", "/producers/p-1")
    assert problem(await front.send("POST", "/producers", body))[:2] == (409, "conflict")
    answer = await front.send("POST", "/producers", body | {"scope": "platform"}, credential=OPERATOR)
    assert problem(answer)[:2] == (409, "conflict")
    assert problem(await front.send("DELETE", "/producers/nobodys"))[:2] == (404, "not-found")


async def test_gateways_keys_are_the_operators_to_give(front: Front) -> None:
    body = {"key_id": "g-1", "public_key": PUBLIC, "scope": "platform"}
    assert problem(await front.send("POST", "/producers", body))[:2] == (403, "forbidden")
    await front.post("/producers", body, credential=OPERATOR)
    (said,) = front.said(ProducerKeyRegistered)
    assert (said.data.tenant_id, said.data.scope) == (PLATFORM_TENANT, ProducerScope.PLATFORM)


@pytest.mark.parametrize("public", ["!" * 43, "A" * 42, ""])
async def test_what_is_no_public_key_is_refused_with_the_field(front: Front, public: str) -> None:
    answer = await front.send("POST", "/producers", {"key_id": "p-1", "public_key": public})
    assert problem(answer)[2] == ["/public_key"]
    assert front.door.tables.producers == {}


class Key:
    """The platform's own."""

    key_id, public_text = "ingest-1", PUBLIC


async def test_the_platforms_own_key_is_registered_once_and_cannot_be_revoked(front: Front) -> None:
    clock = HeldClock(NOW)
    assert await register_platform_key(front.door.open, Key(), clock)
    assert not await register_platform_key(front.door.open, Key(), clock)
    (said,) = front.said(ProducerKeyRegistered)
    told = said.data.tenant_id, said.data.scope, said.actor
    assert told == (PLATFORM_TENANT, ProducerScope.API, "service:ingest_api")
    answer = await front.send("DELETE", "/producers/ingest-1?scope=platform", credential=OPERATOR)
    assert problem(answer)[:2] == (409, "conflict")
    assert front.said(ProducerKeyRevoked) == []
    assert problem(await front.send("DELETE", "/producers/ingest-1", credential=ADMIN))[:2] == (404, "not-found")
