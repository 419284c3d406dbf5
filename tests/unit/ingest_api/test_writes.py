"""A write happens once for its Idempotency-Key, and a refused one leaves the key free."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.deployment import DeploymentRequested
from tests.fakes.ingest_api.application import OPERATOR
from tests.fakes.ingest_api.builders import TENANT
from tests.fakes.ingest_api.front import SPEC, Front, problem


def keyed(key: str) -> dict[str, Any]:
    """A header with this key."""
    return {"headers": {"Idempotency-Key": key}}


async def test_the_same_key_and_body_have_one_effect_and_the_same_answer(front: Front) -> None:
    first, second = [await front.send("POST", "/deployments", SPEC, **keyed("k")) for _ in range(2)]
    assert (first.status_code, second.status_code) == (202, 202)
    assert (first.json(), first.headers["location"]) == (second.json(), second.headers["location"])
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert len(front.said(DeploymentRequested)) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/models", {"name": "other"}),
        ("POST", "/models/llama/versions", {"name": "code"}),
        ("POST", "/models?x=1", {"name": "code"}),
        ("PATCH", "/models", {"name": "code"}),
    ],
)
async def test_the_same_key_for_something_else_is_refused_and_does_nothing(
    front: Front, method: str, path: str, body: Any
) -> None:
    await front.send("POST", "/models", {"name": "code"}, **keyed("k"))
    answer = await front.send(method, path, body, **keyed("k"))
    assert answer.status_code in (405, 422), answer.text
    assert [each["name"] for each in (await front.get("/models"))["items"]] == ["code", "llama"]


async def test_a_refused_write_keeps_nothing(front: Front) -> None:
    refused = await front.send("POST", "/deployments", SPEC | {"model": "late"}, **keyed("k"))
    assert refused.status_code == 422
    assert front.door.tables.replies == {}
    await front.post("/models", {"name": "late"})
    await front.post("/models/late/versions", {"version": "1.0"})
    assert (await front.send("POST", "/deployments", SPEC | {"model": "late"}, **keyed("k"))).status_code == 202


async def test_operators_and_tenants_have_keys_of_their_own(front: Front) -> None:
    assert (await front.send("POST", "/models", {"name": "code"}, **keyed("k"))).status_code == 201
    body = {"name": "globex", "plan": {"name": "team"}}
    assert (await front.send("POST", "/tenants", body, credential=OPERATOR, **keyed("k"))).status_code == 201


async def test_what_an_operator_does_about_a_tenant_takes_none_of_its_keys(front: Front) -> None:
    plan = {"name": "team", "max_models": 7}
    answer = await front.send("PUT", f"/tenants/{TENANT}/quota", plan, credential=OPERATOR, **keyed("k"))
    assert answer.status_code == 200
    assert (await front.send("POST", "/models", {"name": "code"}, **keyed("k"))).status_code == 201


async def test_an_answer_without_a_body_is_repeated_without_one(front: Front) -> None:
    created = await front.post(f"/tenants/{TENANT}/keys", {"name": "ci", "scopes": ["read"]})
    path = f"/tenants/{TENANT}/keys/{created['key_id']}"
    first, second = [await front.send("DELETE", path, **keyed("k")) for _ in range(2)]
    assert (first.status_code, first.content) == (second.status_code, second.content) == (204, b"")
    assert second.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
async def test_a_write_without_a_usable_key_is_refused(front: Front, key: str) -> None:
    answer = await front.send("POST", "/models", {"name": "code"}, **keyed(key))
    assert answer.status_code in (400, 422)
    assert len((await front.get("/models"))["items"]) == 1


async def test_a_body_may_repeat_the_callers_tenant_and_name_no_other(front: Front) -> None:
    other = {"name": "code", "tenant_id": "00000000-0000-0000-0000-00000000dead"}
    answer = await front.send("POST", "/models", other)
    assert problem(answer)[2] == ["/tenant_id"]
    assert problem(answer)[1] != "invalid-request"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"{", "malformed-body"), (b"\xff", "malformed-body"), (b"[]", "invalid-request"), (b"", "invalid-request")],
)
async def test_a_body_that_is_no_object_is_told(front: Front, content: bytes, code: str) -> None:
    headers = {"content-type": "application/json"}
    answer = await front.application.send("POST", "/models", content=content, headers=headers)
    assert problem(answer)[1] == code


async def test_without_a_credential_nobody_is_let_in(front: Front) -> None:
    for path in ("/models", "/deployments", "/usage", "/quota", f"/tenants/{TENANT}"):
        answer = await front.send("GET", path, headers={"Authorization": ""})
        assert problem(answer)[:2] == (401, "unauthenticated"), path
