"""Two tenants walk every route: what is another's does not exist."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from schemas.node import NodeObserved
from services.kit.persistence.migrate import SCHEMA_OF, upgrade
from services.kit.persistence.roles import SCHEMAS, dsn_for, provision, role_name
from tests.integration.ingest_api.harness import SPEC, Account, FrontDoor, eventually

OPERATORS_ONLY = ("/capacity", "/capacity/hints", "/lag")
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/models/{name}/versions"): {"version": "3.0"},
    ("patch", "/deployments/{deployment_id}"): {"replicas": 2},
    ("post", "/tenants/{tenant_id}/keys"): {"name": "spy", "scopes": ["read"]},
    ("post", "/tenants/{tenant_id}/suspend"): {"reason": "spite"},
    ("post", "/tenants/{tenant_id}/resume"): {"reason": "spite"},
    ("put", "/tenants/{tenant_id}/quota"): {"name": "huge"},
    ("post", "/quota/holds/{hold_id}/commit"): {"amounts": {"input_tokens": 5}},
}


def routes(door: FrontDoor) -> list[tuple[str, str]]:
    """Every method and path with an id in it, under the API's base."""
    paths = httpx.get(f"http://127.0.0.1:{door.port}/api/v1/openapi.json").json()["paths"]
    return [
        (method, path.removeprefix("/api/v1"))
        for path, methods in paths.items()
        for method in methods
        if "{" in path and path.startswith("/api/v1")
    ]


def asked_by(account: Account) -> str:
    """The id of a question about capacity."""
    node = NodeObserved(node="n-1", gpu_count=8, gpu_model="A100", cpu_milli=96_000, memory_mib=786_432)
    account.tell(node)
    body = {"resources": SPEC["resources"]}
    eventually(lambda: account.api.post("/capacity/what-if?wait=0s", body).status_code == 202)
    question_id: str = account.api.post("/capacity/what-if?wait=0s", body).json()["question_id"]
    return question_id


def is_for_operators(path: str) -> bool:
    """Whether the route has an id and only operators may call it."""
    suffixes = ("/quota", "/suspend", "/resume")
    return (path.startswith("/tenants") and path.endswith(suffixes)) or "defragmentation" in path


def test_foreign_ids_are_404_on_every_route(door: FrontDoor, acme: Account) -> None:
    # given
    deployment_id = acme.deploy()
    producer_id, _ = acme.register_producer()
    key = acme.api.post(f"/tenants/{acme.tenant_id}/keys", {"name": "second", "scopes": ["read"]}).json()
    stranger = door.tenant()
    ids = {
        "tenant_id": acme.tenant_id,
        "deployment_id": deployment_id,
        "name": "llama",
        "key_id": producer_id,
        "hold_id": "none",
        "question_id": asked_by(acme),
    }
    # then
    walked = 0
    for method, path in routes(door):
        here = ids | ({"key_id": key["key_id"]} if path.startswith("/tenants") else {})
        body = BODIES.get((method, path), {"reason": "spite"} if method == "post" else None)
        answer = stranger.api.send(method.upper(), path.format(**here), json=body)
        if path.startswith("/quota"):  # a hold is named within the tenant: the stranger's `none` is its own
            assert answer.status_code in (200, 204), (method, path, answer.text)
        elif is_for_operators(path):
            assert answer.status_code == 403, (method, path, answer.text)
        else:
            assert answer.status_code == 404, (method, path, answer.text)
        walked += 1
    assert walked >= 24
    # and nothing of it had an effect
    assert acme.api.get(f"/deployments/{deployment_id}").json()["state"] == "requested"
    assert acme.api.get("/producers").json()["items"][0]["revoked_at"] is None
    assert len(acme.api.get(f"/tenants/{acme.tenant_id}/keys").json()["items"]) == 2


def test_lists_show_ones_own_only(door: FrontDoor, acme: Account) -> None:
    acme.deploy()
    acme.register_producer()
    stranger = door.tenant()
    for path in ("/models", "/deployments", "/producers"):
        assert len(acme.api.get(path).json()["items"]) == 1, path
        assert stranger.api.get(path).json()["items"] == [], path
    for path in ("/tenants", *OPERATORS_ONLY):
        assert stranger.api.get(path).status_code == 403, path


def test_an_operator_speaks_for_no_tenant(door: FrontDoor) -> None:
    for path in ("/models", "/deployments", "/usage", "/quota", "/producers"):
        assert door.operator.get(path).status_code == 403, path


@pytest.mark.parametrize("scope", ["read", "usage", "deploy"])
def test_a_scope_goes_as_far_as_it_says(door: FrontDoor, acme: Account, scope: str) -> None:
    # given
    path = f"/tenants/{acme.tenant_id}/keys"
    token = acme.api.post(path, {"name": scope, "scopes": [scope]}).json()["token"]
    client = door.client(token)
    # when
    answers = {
        "read": client.get("/models"),
        "usage": client.post("/quota/holds", {"hold_id": "h", "amounts": {"api_calls": 1}}),
        "deploy": client.post("/models", {"name": "other"}),
        "admin": client.post(path, {"name": "more", "scopes": ["admin"]}),
    }
    # then
    includes = {"read": {"read"}, "usage": {"usage"}, "deploy": {"deploy", "read"}}[scope]
    assert {name for name, answer in answers.items() if answer.status_code < 300} == includes
    assert {answer.status_code for name, answer in answers.items() if name not in includes} == {403}


def test_every_table_of_tenants_is_isolated_by_force(addresses: Any) -> None:
    """Of every service that has migrations, in a database of its own."""
    # given
    name = "catalogue_check"
    asyncio.run(provision(addresses.postgres_dsn, _password, SCHEMAS, name))
    for service, schema in SCHEMA_OF.items():
        owner = role_name(schema, "owner")
        upgrade(service, dsn_for(addresses.postgres_dsn, owner, _password(owner), name))
    # when
    rows = asyncio.run(_tables_with_tenants(addresses.postgres_dsn.rpartition("/")[0] + f"/{name}"))
    # then
    assert {row["schema"] for row in rows} >= {"ingest"}
    for row in rows:
        table = f"{row['schema']}.{row['table']}"
        assert row["forced"], f"{table} has no forced row-level security"
        assert {"one_tenant", "all_tenants"} <= set(row["policies"]), table


def _password(role: str) -> str:
    """Roles are the server's: every test module must give them the password that the others know."""
    return role.split("_")[1]


TABLES = """
SELECT n.nspname AS schema, c.relname AS table, c.relrowsecurity AND c.relforcerowsecurity AS forced,
       array(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE a.attname = 'tenant_id' AND c.relkind IN ('r', 'p') AND n.nspname = ANY($1)
"""


async def _tables_with_tenants(admin_dsn: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(admin_dsn)
    try:
        return list(await connection.fetch(TABLES, list(SCHEMAS)))
    finally:
        await connection.close()
