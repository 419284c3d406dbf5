"""Usage through REST: every form, signed and delivered once; totals and quota read from the same ledger."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.envelope import Event, decode
from schemas.signing import key_id_of, verify
from schemas.usage import UsageReported
from services.kit.quota.ledger import DUPLICATES, RedisQuota, day_scope
from tests.integration.ingest_api.harness import Account, eventually
from tests.integration.kit.harness import read_all

CLOUDEVENT = {
    "specversion": "1.0",
    "type": "taxiway.usage.sample.v1",
    "source": "/gateway/eu-1",
    "id": "ce-1",
    "time": "2026-03-01T12:00:00Z",
    "data": {"amounts": {"input_tokens": 7}},
}


def recorded(account: Account) -> list[Event[Any]]:
    """The account's usage records; their signatures are those of the platform's registered key."""
    public_key = account.door.signing_key.public_key()
    events = []
    for record in read_all(account.door.addresses.kafka_bootstrap, "taxiway.usage.samples.v1"):
        if record.key == str(account.tenant_id).encode():
            assert key_id_of(record.headers).startswith("taxiway-ingest-")
            verify(record.headers, record.value or b"", public_key)
            events.append(decode(record.headers, record.value, lenient=False))
    return events


def sample(number: int, **changes: Any) -> dict[str, Any]:
    """One plain sample."""
    return {"id": f"s-{number}", "time": "2026-03-01T12:00:00Z", "amounts": {"input_tokens": 1}} | changes


def test_every_form_becomes_signed_records_by_source(acme: Account) -> None:
    # when
    plain = acme.api.post("/usage", {"samples": [sample(1), sample(2), sample(1)], "tenant_id": str(acme.tenant_id)})
    single = acme.api.post("/usage", CLOUDEVENT, headers={"Content-Type": "application/cloudevents+json"})
    batch = acme.api.post(
        "/usage",
        [CLOUDEVENT, CLOUDEVENT | {"id": "ce-2"}, CLOUDEVENT | {"source": "/gateway/eu-2"}],
        headers={"Content-Type": "application/cloudevents-batch+json; charset=utf-8"},
    )
    # then
    assert (plain.status_code, plain.json()) == (202, {"accepted": 2, "duplicates": 1})
    assert single.json() == {"accepted": 1, "duplicates": 0}
    assert batch.json() == {"accepted": 2, "duplicates": 1}
    events = recorded(acme)
    assert all(isinstance(event.data, UsageReported) for event in events)
    assert {(event.source, each.id) for event in events for each in event.data.samples} == {
        ("/api/v1/usage", "s-1"),
        ("/api/v1/usage", "s-2"),
        ("/gateway/eu-1", "ce-1"),
        ("/gateway/eu-1", "ce-2"),
        ("/gateway/eu-2", "ce-1"),
    }
    assert {event.tenantid for event in events} == {str(acme.tenant_id)}


def test_a_batch_of_cloudevents_names_the_wrong_one(acme: Account) -> None:
    answer = acme.api.post(
        "/usage",
        [CLOUDEVENT, CLOUDEVENT | {"time": "yesterday"}, CLOUDEVENT | {"data": {"amounts": {}}}],
        headers={"Content-Type": "application/cloudevents-batch+json"},
    )
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/1/time", "/2/data/amounts"]
    assert recorded(acme) == []


def test_the_same_samples_again_are_duplicates_and_are_recorded_once(acme: Account) -> None:
    # given
    body = {"source": "/gw", "samples": [sample(number) for number in range(500)]}
    # when
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: acme.api.post("/usage", body), range(4)))
    # then each copy was accepted, a duplicate, or told to come again
    for answer in answers:
        assert answer.status_code == 202 or (answer.status_code == 503 and answer.headers["retry-after"] == "1")
    assert sum(answer.json()["accepted"] for answer in answers if answer.status_code == 202) == 500
    assert acme.api.post("/usage", body).json() == {"accepted": 0, "duplicates": 500}
    assert sum(len(event.data.samples) for event in recorded(acme)) == 500


def settle(account: Account, meter: str, total: int, hi: int = 1) -> None:
    """What metering does when it has counted."""

    async def run() -> None:
        quota = RedisQuota(account.door.redis_url)
        await quota.settle(day_scope(str(account.tenant_id), meter, datetime.now(UTC).date()), 0, total, hi)
        await quota.close()

    asyncio.run(run())


def test_totals_are_read_per_meter_and_day_with_duplicates(acme: Account) -> None:
    # given
    settle(acme, "input_tokens", 120)
    settle(acme, DUPLICATES, 3)
    today = datetime.now(UTC).date()
    # when
    body = acme.api.get(f"/usage?from={today - timedelta(days=3)}").json()
    # then
    totals = {meter["meter"]: (meter["total"], meter["days"]) for meter in body["meters"]}
    assert totals["input_tokens"] == (120, [{"day": today.isoformat(), "total": 120}])
    assert totals["output_tokens"] == (0, [])
    assert body["duplicates"] == 3
    only = acme.api.get("/usage?meter=api_calls").json()
    assert [meter["meter"] for meter in only["meters"]] == ["api_calls"]


def ask(account: Account, hold_id: str, amount: int) -> Any:
    """Hold so many input tokens."""
    return account.api.post("/quota/holds", {"hold_id": hold_id, "amounts": {"input_tokens": amount}})


def left(account: Account) -> tuple[int, int, int]:
    """Settled, held, remaining of the only limit."""
    limit = account.api.get("/quota").json()["limits"][0]
    return limit["settled"], limit["held"], limit["remaining"]


def test_a_hold_is_committed_recorded_and_released_from_its_limit(acme: Account) -> None:
    # given
    first = ask(acme, "h-1", 400)
    assert (first.status_code, left(acme)) == (201, (0, 400, 600))
    assert ask(acme, "h-1", 400).status_code == 201
    assert left(acme) == (0, 400, 600)
    assert ask(acme, "h-1", 401).json()["type"] == "/problems/conflict"
    # when
    body = {"amounts": {"input_tokens": 250}}
    commits = [acme.api.post("/quota/holds/h-1/commit", body).json() for _ in range(2)]
    # then the actual amount stays held until metering has counted it
    assert commits == [{"accepted": 1, "duplicates": 0}, {"accepted": 0, "duplicates": 1}]
    assert left(acme) == (0, 250, 750)
    [event] = recorded(acme)
    assert event.data.samples[0].hold_id == first.json()["settle_as"] == f"{acme.tenant_id}:h-1"
    assert event.data.samples[0].amounts == {"input_tokens": 250}


def test_release_gives_back_and_another_tenants_hold_is_out_of_reach(acme: Account) -> None:
    # given
    ask(acme, "h-2", 1000)
    stranger = acme.door.tenant()
    # when
    for name in ("h-2", f"{acme.tenant_id}:h-2"):
        stranger.api.delete(f"/quota/holds/{name}")
        stranger.api.post(f"/quota/holds/{name}/commit", {"amounts": {"input_tokens": 1}})
    # then
    assert left(acme) == (0, 1000, 0)
    assert acme.api.delete("/quota/holds/h-2").status_code == 204
    assert left(acme) == (0, 0, 1000)


def test_over_the_limit_says_which_and_how_much(acme: Account) -> None:
    # given
    settle(acme, "input_tokens", 300)
    ask(acme, "h-3", 600)
    # when
    answer = ask(acme, "h-4", 101)
    # then
    body = answer.json()
    assert (answer.status_code, body["type"]) == (403, "/problems/quota-exceeded")
    assert (body["limit"], body["settled"], body["held"], body["asked"]) == (1000, 300, 600, 101)
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    assert body["reset"] == f"{tomorrow}T00:00:00Z"
    assert ask(acme, "h-4", 100).status_code == 201


def test_concurrent_holds_never_pass_the_limit(acme: Account) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(acme, f"c-{number}", 100).status_code, range(40)))
    assert sorted(answers) == [201] * 10 + [403] * 30


def test_models_are_limited_by_the_plan(acme: Account) -> None:
    for name in ("a", "b"):
        assert acme.api.post("/models", {"name": name}).status_code == 201
    answer = acme.api.post("/models", {"name": "c"})
    assert (answer.json()["type"], answer.json()["limit"]) == ("/problems/quota-exceeded", 3)
    assert acme.api.post("/models/a/archive").status_code == 200
    assert acme.api.post("/models", {"name": "c"}).status_code == 201


def test_the_platform_key_is_registered_once(acme: Account) -> None:
    def keys() -> int:
        records = read_all(acme.door.addresses.kafka_bootstrap, "taxiway.tenant.events.v1")
        kid = b'"' + recorded_key(acme).encode() + b'"'
        return sum(kid in (record.value or b"") for record in records)

    acme.api.post("/usage", {"samples": [sample(1)]})
    eventually(lambda: keys() == 1)


def recorded_key(account: Account) -> str:
    """The key id of the account's usage records."""
    records = read_all(account.door.addresses.kafka_bootstrap, "taxiway.usage.samples.v1")
    return next(key_id_of(record.headers) for record in records if record.key == str(account.tenant_id).encode())
