"""Text that cannot be kept comes as far as a problem that names it, on every route, and reaches no store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from tests.fakes.ingest_api.application import ADMIN, OPERATOR, Application, StoreReachedError
from tests.fakes.ingest_api.builders import TENANT, spec


@cache
def front() -> Application:
    """One for all tests here: none leaves a trace."""
    return Application()


def parameters() -> Iterator[tuple[str, str, str, str]]:
    """Method, path, kind and name of every parameter of every route that is a text or an id."""
    for path, methods in front().app.openapi()["paths"].items():
        for method, route in methods.items():
            for each in route.get("parameters", ()):
                yield method.upper(), path, each["in"], each["name"]


WALK = sorted(parameters())


def test_the_walk_is_over_all_kinds() -> None:
    assert len(WALK) > 60
    assert {kind for *_, kind, _ in WALK} == {"path", "query", "header"}


@pytest.mark.parametrize("bad", ["a\0b", "\x1b[2J", "a\u2028b"])
async def test_no_control_character_in_any_parameter_reaches_a_store(bad: str) -> None:
    for method, template, kind, name in WALK:
        path = "/".join(_segment(part, name, bad) for part in template.split("/"))
        options: dict[str, Any] = {}
        if kind == "query":
            path += f"?{name}={quote(bad)}"
        if kind == "header":
            if not bad.isascii():
                continue  # a header's bytes beyond ASCII have no meaning that all agree on
            options["headers"] = {name: bad}
        answer = await front().send(method, path, **options)
        assert answer.status_code == 422, (method, template, kind, name, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()["errors"][0]["message"].lower()
        assert ("path" if kind == "path" else name.lower()) in said, (method, template, kind, name)


def _segment(part: str, name: str, bad: str) -> str:
    if part == f"{{{name}}}":
        return quote(bad)
    return str(UUID(int=1)) if part.endswith("_id}") else "x" if part.startswith("{") else part


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("POST", f"/tenants/{TENANT}/suspend", {"reason": "un\0paid"}, "/reason"),
        ("POST", f"/deployments/{TENANT}/rollout/pause", {"reason": "be\ncause"}, "/reason"),
        ("POST", "/models", {"name": "m", "description": "\0"}, "/description"),
        ("POST", "/models/m/versions", {"version": "1", "artifact": "s3://\0"}, "/artifact"),
        ("POST", f"/tenants/{TENANT}/keys", {"name": "\0", "scopes": ["read"]}, "/name"),
        ("POST", "/models", {"name": "m\0"}, "/name"),
        ("POST", "/models", {"name": "m", "description": "a\ud800"}, "/description"),
        ("POST", "/models", {"name": "m", "\ud800": 1}, ""),
        ("POST", "/models", {"name": "m", "x\0" * 2000: 1}, "/" + ("x\ufffd" * 2000)[:999]),
        ("POST", "/usage", {"samples": [], "\ud800": 1}, "/\ufffd"),
        (
            "POST",
            "/deployments",
            spec().model_dump(mode="json") | {"resources": {"gpu_count": 1, "gpu_milli": 500, "gpu_models": ["A\0"],
                                                             "cpu_milli": 1, "memory_mib": 1}},
            "/resources/gpu_models/0",
        ),
    ],
)  # fmt: skip
async def test_no_control_character_in_a_body_reaches_a_store(
    method: str, path: str, body: dict[str, Any], pointer: str
) -> None:
    credential = OPERATOR if "suspend" in path else ADMIN
    content, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    answer = await front().send(method, path, credential, content=content, headers=headers)
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, [pointer])


async def test_a_description_may_have_lines_and_any_letters() -> None:
    with pytest.raises(StoreReachedError):
        await front().send("POST", "/models", json={"name": "m", "description": "größer:\n\t模型"})


async def test_any_letters_may_stand_in_a_query_and_a_header() -> None:
    path = f"/deployments/{TENANT}?reason={quote('größer 模型')}"
    with pytest.raises(StoreReachedError):
        await front().send("DELETE", path, headers={"X-Note": "größer À\tx".encode()})
