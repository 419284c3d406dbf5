"""The process itself: who waits is woken, SIGTERM drains, a kill loses nothing, what is away is said to be away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from infra.local.stack import Addresses
from schemas.rollout import RolloutPromoted, RolloutStarted
from tests.fakes.ingest_api.postgres import IngestDatabase
from tests.integration.ingest_api.harness import ROOT, SPEC, Account, FrontDoor, eventually
from tests.integration.kit.harness import read_all


def progress(account: Account, deployment_id: str) -> None:
    """Something happens to the deployment."""
    about = {"deployment_id": UUID(deployment_id), "revision": 1}
    account.tell(RolloutStarted(**about, version="1.0", weights=(100,)), RolloutPromoted(**about, version="1.0"))


def test_a_waiting_reader_is_answered_at_the_change(acme: Account) -> None:
    # given
    deployment_id = acme.deploy()
    eventually(lambda: acme.api.get(f"/deployments/{deployment_id}").json()["as_of"]["position"] is not None)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(acme.api.get, f"/deployments/{deployment_id}?wait=20s")
        # when
        started = time.monotonic()
        progress(acme, deployment_id)
        answer = waiting.result()
    # then
    assert answer.json()["state"] in ("rolling_out", "serving")
    assert time.monotonic() - started < 10
    # and with the ETag of what was seen, a change in between is not missed
    stale = acme.api.get(f"/deployments/{deployment_id}?wait=20s", headers={"If-None-Match": '"older"'})
    assert stale.elapsed < timedelta(seconds=5)


def test_waiting_ends_when_the_time_is_over(acme: Account) -> None:
    deployment_id = acme.deploy()
    eventually(lambda: acme.api.get(f"/deployments/{deployment_id}").json()["as_of"]["position"] is not None)
    answer = acme.api.get(f"/deployments/{deployment_id}?wait=500ms")
    assert (answer.status_code, answer.json()["state"]) == (200, "requested")
    assert answer.elapsed >= timedelta(seconds=0.5)


def stream(account: Account, deployment_id: str, **headers: str) -> Iterator[dict[str, str]]:
    """Server-Sent Events, one by one, as `id`, `event`, `data`."""
    url = f"http://127.0.0.1:{account.door.port}/api/v1/deployments/{deployment_id}/events"
    credential = {"X-API-Key": account.api.credential}
    with httpx.stream("GET", url, headers=credential | headers, timeout=30) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            if line.startswith(":"):
                continue
            if not line and fields:
                yield fields
                fields = {}
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value


def test_a_stream_tells_what_was_and_what_comes(acme: Account) -> None:
    # given
    deployment_id = acme.deploy()
    following = stream(acme, deployment_id)
    first = next(following)
    assert first["event"] == "taxiway.deployment.requested.v1"
    # when
    progress(acme, deployment_id)
    # then
    assert [next(following)["event"].split(".")[2] for _ in range(2)] == ["started", "promoted"]
    following.close()  # type: ignore[attr-defined]
    resumed = stream(acme, deployment_id, **{"Last-Event-ID": first["id"]})
    assert json.loads(next(resumed)["data"])["type"] == "taxiway.rollout.started.v1"
    resumed.close()  # type: ignore[attr-defined]
    assert acme.api.get("/deployments/00000000-0000-0000-0000-000000000000/events").status_code == 404


def test_keys_expire_and_are_revoked(door: FrontDoor, acme: Account) -> None:
    path = f"/tenants/{acme.tenant_id}/keys"
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert acme.api.post(path, {"name": "x", "scopes": ["read"], "expires_at": past}).status_code == 422
    assert acme.api.post(path, {"name": "x", "scopes": ["operator"]}).status_code == 422
    created = [acme.api.post(path, {"name": "x", "scopes": ["read"], "expires_at": soon}, key="once") for _ in "ab"]
    # shown once: the repetition has no token, the list neither
    assert created[0].json()["token"].startswith("tw_live_")
    assert (created[1].json()["key_id"], created[1].json()["token"]) == (created[0].json()["key_id"], None)
    secret = created[0].json()["token"].rpartition("_")[2]
    assert secret not in acme.api.get(path).text
    short = door.client(created[0].json()["token"])
    eventually(lambda: short.get("/models").status_code == 401)
    # revoked at once
    other = acme.api.post(path, {"name": "y", "scopes": ["read"]}).json()
    client = door.client(other["token"])
    assert client.get("/models").status_code == 200
    assert acme.api.delete(f"{path}/{other['key_id']}").status_code == 204
    assert client.get("/models").status_code == 401
    assert secret not in door.log.read_text()
    assert other["token"].rpartition("_")[2] not in door.log.read_text()


def test_operators_create_plan_and_list(door: FrontDoor) -> None:
    account = door.tenant()
    path = f"/tenants/{account.tenant_id}"
    assert door.operator.post("/tenants", {"name": account.name, "plan": {"name": "team"}}).status_code == 409
    assert door.operator.put(f"{path}/quota", {"name": "large"}).json()["plan"]["name"] == "large"
    assert account.api.get(path).json()["plan"]["name"] == "large"
    names: list[str] = []
    following: str | None = "/api/v1/tenants?limit=200"
    while following:
        page = door.operator.get(following).json()
        names += [item["name"] for item in page["items"]]
        following = page["next"]
    assert account.name in names
    assert names == sorted(names)
    eventually(lambda: "lags" in door.operator.get("/lag").json())
    assert {lag["group"] for lag in door.operator.get("/lag").json()["lags"]} >= {"taxiway.ingest.projection"}
    health = httpx.get(f"http://127.0.0.1:{door.health_port}/metrics").text
    assert 'route="/tenants/{tenant_id}/quota"' in health


def test_the_lag_of_what_was_handled_is_shown_too(door: FrontDoor, acme: Account) -> None:
    acme.deploy()

    def ages() -> set[float | None]:
        lags = door.operator.get("/lag").json()["lags"]
        return {lag["age_at_commit_seconds"] for lag in lags if lag["group"] == "taxiway.ingest.projection"}

    eventually(lambda: any(age is not None and 0 <= age < 60 for age in ages()))


@pytest.fixture
def own(addresses: Addresses, ingest_database: IngestDatabase, door: FrontDoor, tmp_path: Path) -> FrontDoor:
    """A second copy beside the one that is running."""
    return FrontDoor(addresses, ingest_database, tmp_path, door.issuer, door.signing_key)


def test_sigterm_lets_those_who_wait_go_and_loses_nothing(own: FrontDoor) -> None:
    # given
    with own.running() as process:
        account = own.tenant()
        account.register_model("1.0")
        deployment_id = account.deploy()
        eventually(lambda: account.api.get(f"/deployments/{deployment_id}").json()["as_of"]["position"] is not None)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(account.api.get, f"/deployments/{deployment_id}?wait=60s")
            following = stream(account, deployment_id)
            next(following)
            # when
            last = account.deploy(name="last")
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            # then
            assert waiting.result().status_code == 200
            assert list(following) == []
        assert process.wait(timeout=40) == 0
        assert time.monotonic() - started < 20
    keys = {record.key for record in read_all(own.addresses.kafka_bootstrap, "taxiway.deployment.events.v1")}
    assert last.encode() in keys


def test_what_was_accepted_survives_a_kill(own: FrontDoor) -> None:
    # given
    with own.running() as process:
        account = own.tenant()
        account.register_model("1.0")
        # when
        deployment_ids = [account.deploy(name=f"d-{number}") for number in range(10)]
        process.kill()
        process.wait()
    # then, after the next start
    with own.running():
        for deployment_id in deployment_ids:
            path = f"/deployments/{deployment_id}/history"
            eventually(lambda path=path: len(account.api.get(path).json()["items"]) == 1)  # type: ignore[misc]


def test_redis_away_stops_quota_and_usage_but_not_reading(own: FrontDoor) -> None:
    with own.running(TAXIWAY_REDIS_URL="redis://:x@127.0.0.1:1/0"):
        account = own.tenant()
        refused = [
            account.api.post("/quota/holds", {"hold_id": "h", "amounts": {"input_tokens": 1}}),
            account.api.post(
                "/usage", {"samples": [{"id": "1", "time": "2026-01-01T00:00:00Z", "amounts": {"api_calls": 1}}]}
            ),
            account.api.get("/quota"),
        ]
        for answer in refused:
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        account.register_model("1.0")
        assert account.api.get(f"/deployments/{account.deploy()}").status_code == 200


def test_a_bad_configuration_is_reported_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.ingest_api"],
        cwd=ROOT,
        env={
            "TAXIWAY_KAFKA_BOOTSTRAP": "localhost:1",
            "TAXIWAY_REDIS_URL": "redis://localhost",
            "TAXIWAY_INGEST_PORT": "0",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    for name in ("POSTGRES_DSN", "WORKER_DSN", "JWT_ISSUER", "JWKS_FILE", "SIGNING_KEY_FILE", "PORT"):
        assert f"TAXIWAY_INGEST_{name}" in done.stderr


def test_the_spec_is_shown_as_it_was_asked(acme: Account) -> None:
    shown = acme.api.get(f"/deployments/{acme.deploy()}").json()
    assert shown["spec"] | SPEC == shown["spec"] | {"resources": SPEC["resources"]}
