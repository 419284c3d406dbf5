"""A front door that answers what a test says, and takes only what the real one would.

Each request is held against the real application's OpenAPI document: path, query parameters and body. A command that
asks for something the API does not have fails here, not at a customer's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from typer.testing import CliRunner

from services.cli.main import app
from services.ingest_api.entrypoints.http.app import make_app
from services.ingest_api.entrypoints.http.desk import Desk

URL = "http://front.door"
TOKEN = "tw_live_k_s"
NOWHERE = Path("/nonexistent")


@cache
def contract() -> dict[str, Any]:
    """The real API, as it describes itself."""
    return make_app(cast(Desk, object())).openapi()


def operation_of(method: str, path: str) -> dict[str, Any]:
    """The described operation of a request; literal paths go before those with parameters."""
    for template in sorted(contract()["paths"], key=lambda text: text.count("{")):
        pattern = re.sub(r"\\{[^/]+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in contract()["paths"][template]:
            operation: dict[str, Any] = contract()["paths"][template][method.lower()]
            return operation
    raise AssertionError(f"the API has no {method} {path}")


def check(request: httpx.Request) -> None:
    """Fail unless the real API describes such a request."""
    operation = operation_of(request.method, request.url.raw_path.decode().partition("?")[0])
    known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    assert set(request.url.params) <= known, f"{request.url} has unknown parameters"
    described = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if described is not None:
        schema = described["schema"] | {"components": contract()["components"]}
        Draft202012Validator(schema).validate(json.loads(request.content))
    if request.method != "GET":
        assert request.headers["idempotency-key"]
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


Answer = httpx.Response | BaseModel | dict[str, Any] | list[Any] | Exception | None


@dataclass
class Door(httpx.BaseTransport):
    """Answers by `METHOD path`, and remembers what was asked. A list is a page of items; an exception is raised."""

    answers: Mapping[str, Answer]
    requests: list[httpx.Request] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Check and answer."""
        check(request)
        self.requests.append(request)
        asked = f"{request.method} {request.url.raw_path.decode().removeprefix('/api/v1')}"
        answer = self.answers.get(asked, self.answers.get(asked.partition("?")[0], KeyError(asked)))
        if isinstance(answer, Exception):
            raise answer
        return respond(answer)

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Method and path with query, in order."""
        return [(request.method, request.url.raw_path.decode().removeprefix("/api/v1")) for request in self.requests]

    @property
    def body(self) -> Any:
        """What the last request said."""
        return json.loads(self.requests[-1].content)


def respond(answer: Answer) -> httpx.Response:
    """The response that stands for `answer`."""
    if isinstance(answer, httpx.Response):
        return answer
    if answer is None:
        return httpx.Response(204)
    if isinstance(answer, list):
        items = [item.model_dump(mode="json") if isinstance(item, BaseModel) else item for item in answer]
        return httpx.Response(200, json={"items": items, "next": None})
    return httpx.Response(200, json=answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer)


def refusal(status: int, title: str = "Refused", **fields: Any) -> httpx.Response:
    """A problem document."""
    document = {"type": "/problems/x", "title": title, "status": status, "detail": "", "errors": [], **fields}
    return httpx.Response(status, json=document, headers={"content-type": "application/problem+json"})


@dataclass(frozen=True)
class Outcome:
    """What a call of the command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as a program reads it."""
        return json.loads(self.out)


def taxiway(
    *arguments: str, door: httpx.BaseTransport | None = None, env: Mapping[str, str | None] | None = None
) -> Outcome:
    """Call the command; with a door, as somebody who has a credential for it."""
    nothing = {"TAXIWAY_API_URL": None, "TAXIWAY_TOKEN": None, "TAXIWAY_KAFKA_BOOTSTRAP": None, "COLUMNS": None}
    configured = {"TAXIWAY_API_URL": URL, "TAXIWAY_TOKEN": TOKEN} if door is not None else {}
    environment = {**nothing, "TAXIWAY_STATE": str(NOWHERE), **configured, **(env or {})}
    result = CliRunner(env=environment).invoke(app, list(arguments), obj=door)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)
