"""What holds for every route: problems, idempotency, bounds; and that the next good request passes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from schemas.envelope import header_text
from tests.integration.ingest_api.harness import SPEC, Account, FrontDoor, eventually
from tests.integration.kit.harness import read_all

JSON = {"Content-Type": "application/json"}
SAMPLE = {"id": "s-1", "time": "2026-01-01T00:00:00Z", "amounts": {"input_tokens": 1}}


def problem(answer: httpx.Response) -> tuple[int, str, list[str]]:
    """Status, code and pointers of a problem document, whose other members are checked."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == answer.request.url.path
    assert body["trace_id"] == answer.headers["x-trace-id"]
    return answer.status_code, body["type"].removeprefix("/problems/"), [e["pointer"] for e in body["errors"]]


BAD: list[tuple[str, str, str, dict[str, Any], tuple[int, str, list[str]]]] = [
    ("undecodable bytes", "POST", "/models", {"content": b"\xff\xfe{", "headers": JSON}, (400, "malformed-body", [])),
    (
        "a number without end",
        "POST",
        "/usage",
        {"content": b'{"samples": [' + b"1" * 5000 + b"]}", "headers": JSON},
        (400, "malformed-body", []),
    ),
    ("not JSON", "POST", "/models", {"content": b'{"name": ', "headers": JSON}, (400, "malformed-body", [])),
    (
        "deeper than anybody nests",
        "POST",
        "/usage",
        {"content": b"[" * 200_000, "headers": JSON},
        (400, "malformed-body", []),
    ),
    ("wrong schema", "POST", "/models", {"json": {"name": 7}}, (422, "invalid-request", ["/name"])),
    ("unknown field", "POST", "/models", {"json": {"name": "m", "x": 1}}, (422, "invalid-request", ["/x"])),
    ("not an object", "POST", "/models", {"json": [1]}, (422, "invalid-request", [""])),
    (
        "nested field",
        "POST",
        "/deployments",
        {"json": SPEC | {"resources": SPEC["resources"] | {"gpu_milli": 1001}}},  # type: ignore[operator]
        (422, "invalid-request", ["/resources/gpu_milli"]),
    ),
    (
        "another tenant in the body",
        "POST",
        "/models",
        {"json": {"name": "m", "tenant_id": str(uuid4())}},
        (403, "wrong-tenant", ["/tenant_id"]),
    ),
    (
        "another tenant's usage",
        "POST",
        "/usage",
        {"json": {"tenant_id": str(uuid4()), "samples": [SAMPLE]}},
        (403, "wrong-tenant", ["/tenant_id"]),
    ),
    (
        "a time in the future",
        "POST",
        "/usage",
        {"json": {"samples": [SAMPLE, SAMPLE | {"id": "s-2", "time": "2999-01-01T00:00:00Z"}]}},
        (422, "invalid-request", ["/samples/1/time"]),
    ),
    (
        "a negative amount",
        "POST",
        "/usage",
        {"json": {"samples": [SAMPLE | {"amounts": {"input_tokens": -1}}]}},
        (422, "invalid-request", ["/samples/0/amounts/input_tokens"]),
    ),
    (
        "an unknown meter",
        "POST",
        "/usage",
        {"json": {"samples": [SAMPLE | {"amounts": {"coffee": 1}}]}},
        (422, "invalid-request", ["/samples/0/amounts/coffee"]),
    ),
    (
        "too many samples",
        "POST",
        "/usage",
        {"json": {"samples": [SAMPLE | {"id": str(number)} for number in range(501)]}},
        (422, "invalid-request", ["/samples"]),
    ),
    ("no samples", "POST", "/usage", {"json": {"samples": []}}, (422, "invalid-request", ["/samples"])),
    (
        "a media type of another world",
        "POST",
        "/usage",
        {"content": b"<a/>", "headers": {"Content-Type": "text/xml"}},
        (415, "unsupported-media-type", []),
    ),
    (
        "an oversized body",
        "POST",
        "/models",
        {"content": b" " * (1024 * 1024 + 1), "headers": JSON},
        (413, "body-too-large", []),
    ),
    (
        "an oversized body without a length",
        "POST",
        "/usage",
        {"content": (b" " * 65_536 for _ in range(20)), "headers": JSON},
        (413, "body-too-large", []),
    ),
    ("a hold in the negative", "POST", "/quota/holds", {"json": {"hold_id": "h", "amounts": {"api_calls": -1}}},
     (422, "invalid-request", ["/amounts/api_calls"])),
    ("a NUL in a query", "DELETE", f"/deployments/{uuid4()}?reason=%00", {}, (422, "invalid-request", [""])),
    ("a NUL in a path", "GET", "/models/a%00", {}, (422, "invalid-request", [""])),
    ("a NUL in a text", "POST", "/models", {"json": {"name": "m", "description": "\0"}},
     (422, "invalid-request", ["/description"])),
    ("a NUL in a sample", "POST", "/usage", {"json": {"samples": [SAMPLE | {"id": "\0"}]}},
     (422, "invalid-request", ["/samples/0/id"])),
    ("a lone surrogate", "POST", "/models", {"content": b'{"name": "m", "description": "\\ud800"}', "headers": JSON},
     (422, "invalid-request", ["/description"])),
    ("no such route", "GET", "/nothing", {}, (404, "not-found", [])),
    ("no such method", "PUT", "/models", {"json": {}}, (405, "method-not-allowed", [])),
    ("an id that is none", "GET", "/deployments/none", {}, (422, "invalid-request", [""])),
    ("a limit out of bounds", "GET", "/models?limit=0", {}, (422, "invalid-request", [""])),
    ("a duration that is none", "GET", f"/deployments/{uuid4()}?wait=soon", {}, (422, "invalid-request", [""])),
    ("days the wrong way round", "GET", "/usage?from=2026-02-01&to=2026-01-01", {}, (422, "invalid-request", [""])),
    (
        "a name that is no label",
        "POST",
        "/deployments",
        {"json": SPEC | {"name": "a.b"}},
        (422, "deployment-name-invalid", ["/name"]),
    ),
    (
        "an unknown model",
        "POST",
        "/deployments",
        {"json": SPEC | {"model": "none"}},
        (422, "model-not-found", ["/model"]),
    ),
    (
        "an unknown version",
        "POST",
        "/deployments",
        {"json": SPEC | {"version": "9"}},
        (422, "version-not-found", ["/version"]),
    ),
    ("a reserved scope", "GET", "/capacity", {}, (403, "forbidden", [])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "method", "path", "options", "expected"), BAD, ids=[row[0] for row in BAD])
def test_bad_input_is_explained_and_the_next_good_request_passes(
    acme: Account, name: str, method: str, path: str, options: dict[str, Any], expected: tuple[int, str, list[str]]
) -> None:
    # when
    answer = acme.api.send(method, path, **options)
    # then
    assert problem(answer) == expected
    assert acme.api.post("/models", {"name": "good"}).status_code == 201


def test_every_problem_has_its_page(door: FrontDoor) -> None:
    answer = door.client("").get("/deployments")
    assert problem(answer)[:2] == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    page = httpx.get(f"http://127.0.0.1:{door.port}{answer.json()['type']}")
    assert page.status_code == 200
    assert "Credential needed" in page.text
    assert problem(door.client("").get("/api/../problems/none"))[0] == 404


def test_a_write_needs_an_idempotency_key(acme: Account) -> None:
    answer = acme.api.send("POST", "/models", json={"name": "m"}, headers={"Idempotency-Key": ""})
    assert problem(answer) == (400, "idempotency-key-required", [])


def test_the_same_key_and_body_give_the_same_answer_and_one_effect(acme: Account) -> None:
    # when
    first, second = (acme.api.post("/deployments", SPEC, key="k-1") for _ in range(2))
    # then
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert first.headers["location"] == second.headers["location"]
    assert second.headers["idempotent-replayed"] == "true"
    assert len(acme.api.get("/deployments").json()["items"]) == 1


def test_the_same_key_with_another_body_or_path_is_refused(acme: Account) -> None:
    assert acme.api.post("/models", {"name": "m"}, key="k-2").status_code == 201
    assert problem(acme.api.post("/models", {"name": "other"}, key="k-2"))[:2] == (422, "idempotency-key-reused")
    assert problem(acme.api.post("/models/m/versions", {"version": "1"}, key="k-2"))[1] == "idempotency-key-reused"
    assert acme.api.get("/models/other").status_code == 404


def test_a_refused_write_keeps_its_key_free(acme: Account) -> None:
    body = SPEC | {"model": "late"}
    assert acme.api.post("/deployments", body, key="k-3").status_code == 422
    acme.api.post("/models", {"name": "late"})
    acme.api.post("/models/late/versions", {"version": "1.0"})
    assert acme.api.post("/deployments", body, key="k-3").status_code == 202


def test_the_key_of_another_tenant_is_another_key(door: FrontDoor, acme: Account) -> None:
    other = door.tenant()
    assert acme.api.post("/models", {"name": "m"}, key="shared").status_code == 201
    assert other.api.post("/models", {"name": "n"}, key="shared").status_code == 201


def test_concurrent_writes_with_one_key_are_one_write(acme: Account) -> None:
    # when
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: acme.api.post("/deployments", SPEC, key="race"), range(8)))
    # then
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["deployment_id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1


def test_concurrent_creations_of_one_name_give_one_deployment(acme: Account) -> None:
    # when
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: acme.api.post("/deployments", SPEC), range(6)))
    # then
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} == {"/problems/deployment-exists"}


def test_the_description_is_complete_and_the_docs_load_nothing_from_elsewhere(door: FrontDoor) -> None:
    base = f"http://127.0.0.1:{door.port}"
    api = httpx.get(f"{base}/api/v1/openapi.json").json()
    assert api["openapi"].startswith("3.1")
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            assert route["summary"], (method, path)
            assert path.startswith("/problems") or "default" in route["responses"], (method, path)
    docs = httpx.get(base, follow_redirects=True)
    assert docs.url.path == "/api/v1/docs"
    assert "/api/v1/deployments/{deployment_id}/rollout/promote" in docs.text
    assert "http" not in docs.text.replace("https://www.rfc-editor.org", "").replace("http.", "")


def test_a_trace_is_carried_on(acme: Account) -> None:
    answer = acme.api.get("/models", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    assert answer.headers["x-trace-id"] == "ab" * 16


def test_a_trace_begins_here_and_is_found_on_the_log_and_in_the_log(door: FrontDoor, acme: Account) -> None:
    """Nothing is exported: the trace is an identity that everything carries which the request caused."""
    answer = acme.api.post("/deployments", SPEC)
    deployment_id, trace_id = answer.json()["deployment_id"], answer.headers["x-trace-id"]
    lines = [json.loads(line) for line in door.log.read_text().splitlines()]
    [admitted] = [line for line in lines if line.get("deployment") == deployment_id]
    assert (admitted["trace_id"], admitted["tenant"]) == (trace_id, str(acme.tenant_id))
    eventually(lambda: acme.api.get(f"/deployments/{deployment_id}").json()["as_of"]["position"] is not None)
    records = read_all(door.addresses.kafka_bootstrap, "taxiway.deployment.events.v1")
    [record] = [record for record in records if record.key == deployment_id.encode()]
    assert (header_text(record.headers, "ce_traceparent") or "").split("-")[1] == trace_id


def test_a_body_that_breaks_a_rule_very_often_gets_a_short_answer(acme: Account) -> None:
    wrong = SPEC | {"canary": {"weights": [0] * 100_000}}
    answer = acme.api.post("/deployments", wrong)
    assert answer.status_code == 422
    assert 0 < len(answer.json()["errors"]) <= 20
    assert len(answer.content) < 20_000


def test_made_up_methods_are_one_method_to_the_metrics(door: FrontDoor) -> None:
    for number in range(5):
        httpx.request(f"BREW{number}", f"http://127.0.0.1:{door.port}/api/v1/models")
    seen = [
        line
        for line in httpx.get(f"http://127.0.0.1:{door.health_port}/metrics").text.splitlines()
        if "http_request" in line
    ]
    assert any('method="_OTHER"' in line for line in seen)
    assert not any("BREW" in line for line in seen)
