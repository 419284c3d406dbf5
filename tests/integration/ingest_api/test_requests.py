"""Signed deployment requests of outside producers: the same admission, and nothing of strangers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.deployment import DeploymentRejected, DeploymentSpec, DeployModel
from schemas.envelope import Event, decode
from schemas.signing import public_key_text
from schemas.tenant import PLATFORM_TENANT, Meter
from schemas.usage import UsageReported, UsageSample
from services.kit.ids import new_id
from tests.fakes.ingest_api.builders import NOW, spec
from tests.integration.ingest_api.harness import Account, eventually, produce
from tests.integration.kit.harness import header, read_all

DLQ = "taxiway.deployment.requests.v1.dlq.taxiway.ingest.admission"


def ask_for(account: Account, wanted: DeploymentSpec | None = None) -> DeployModel:
    """A request of the account."""
    return DeployModel(tenant_id=account.tenant_id, spec=wanted or spec())


def outcomes(account: Account, request_id: str) -> list[Event[Any]]:
    """What was said because of a request."""
    records = read_all(account.door.addresses.kafka_bootstrap, "taxiway.deployment.events.v1")
    events = [decode(record.headers, record.value) for record in records]
    return [event for event in events if event.correlationid == request_id]


def set_aside(account: Account, request_id: str) -> str | None:
    """Why a request is a dead letter."""
    for record in read_all(account.door.addresses.kafka_bootstrap, DLQ):
        if header(record, "ce_id") == request_id:
            return header(record, "taxiway_dlq_error_type")
    return None


def test_a_signed_request_becomes_a_deployment_and_then_a_revision(acme: Account) -> None:
    # given
    key_id, key = acme.register_producer()
    # when
    first = acme.request(ask_for(acme), key_id, key)
    eventually(lambda: len(acme.api.get("/deployments").json()["items"]) == 1)
    second = acme.request(ask_for(acme, spec(version="2.0")), key_id, key)
    # then
    eventually(lambda: len(outcomes(acme, second)) == 1)
    [one], [two] = outcomes(acme, first), outcomes(acme, second)
    assert one.data.deployment_id == two.data.deployment_id
    assert (one.data.revision, one.data.first_stage_replicas) == (1, 4)
    assert (two.data.revision, two.data.first_stage_replicas) == (2, 1)
    assert (one.actor, one.causationid, one.tenantid) == ("producer:/ci", first, str(acme.tenant_id))


def test_what_cannot_be_admitted_is_rejected_in_the_log_and_shown(acme: Account) -> None:
    # given
    key_id, key = acme.register_producer()
    # when
    unknown = acme.request(ask_for(acme, spec(model="none")), key_id, key)
    acme.request(ask_for(acme), key_id, key)
    again = acme.request(ask_for(acme), key_id, key)
    # then
    eventually(lambda: len(outcomes(acme, again)) == 1)
    [rejected], [unchanged] = outcomes(acme, unknown), outcomes(acme, again)
    assert isinstance(rejected.data, DeploymentRejected)
    assert (rejected.data.code, rejected.data.violations[0].pointer) == ("model-not-found", "/model")
    assert unchanged.data.code == "no-change"
    path = f"/deployments/{rejected.data.deployment_id}"
    eventually(lambda: acme.api.get(path).status_code == 200)
    shown = acme.api.get(path).json()
    assert (shown["state"], shown["refusal"]["code"]) == ("rejected", "model-not-found")
    assert "was refused (model-not-found)" in acme.api.get(f"{path}/history").json()["items"][0]["words"]


def test_a_suspended_tenant_starts_nothing_new_on_either_way(acme: Account) -> None:
    # given
    key_id, key = acme.register_producer()
    acme.door.operator.post(f"/tenants/{acme.tenant_id}/suspend", {"reason": "unpaid"})
    # when
    request_id = acme.request(ask_for(acme), key_id, key)
    answer = acme.api.post("/deployments", spec().model_dump(mode="json"))
    # then
    eventually(lambda: len(outcomes(acme, request_id)) == 1)
    assert outcomes(acme, request_id)[0].data.code == "tenant-suspended"
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/tenant-suspended")
    acme.door.operator.post(f"/tenants/{acme.tenant_id}/resume", {"reason": "paid"})
    assert acme.deploy()


def test_records_that_are_not_what_they_say_are_set_aside(acme: Account) -> None:
    # given
    key_id, key = acme.register_producer()
    victim = acme.door.tenant()
    victim.register_model("1.0")
    revoked_id, revoked_key = acme.register_producer()
    assert acme.api.delete(f"/producers/{revoked_id}?reason=leaked").status_code == 204
    # when
    bad = {
        "another's tenant, signed by a key of ours": victim.request(ask_for(victim), key_id, key),
        "data of another tenant": acme.request(ask_for(victim), key_id, key),
        "a key that nobody registered": acme.request(ask_for(acme), "nobody", key),
        "another key under a known id": acme.request(ask_for(acme), key_id, Ed25519PrivateKey.generate()),
        "a revoked key": acme.request(ask_for(acme), revoked_id, revoked_key),
    }
    tomorrow = acme.request(ask_for(acme), key_id, key, time=datetime.now(UTC) + timedelta(days=1))
    long_ago = acme.request(ask_for(acme), key_id, key, time=datetime.now(UTC) - timedelta(days=40))
    usage = UsageReported(
        tenant_id=acme.tenant_id, samples=(UsageSample(id="s", time=NOW, amounts={Meter.API_CALLS: 1}),)
    )
    elsewhere = acme.request(usage, key_id, key, topic=ask_for(acme).topic)
    unsigned = str(new_id())
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes(unsigned, acme).items()]
    produce(acme.door.addresses.kafka_bootstrap, (ask_for(acme).topic, "k", b"\xff\xfe", headers))
    good = acme.request(ask_for(acme), key_id, key)
    # then
    others = (unsigned, tomorrow, long_ago, elsewhere)
    eventually(lambda: all(set_aside(acme, request_id) for request_id in (*bad.values(), *others)))
    reasons = {name: set_aside(acme, request_id) for name, request_id in bad.items()}
    assert set(reasons.values()) == {"signature"}, reasons
    assert set_aside(acme, unsigned) == "signature"
    assert {set_aside(acme, tomorrow), set_aside(acme, long_ago)} == {"envelope"}
    assert set_aside(acme, elsewhere) == "unknown-type"
    eventually(lambda: len(outcomes(acme, good)) == 1)
    assert victim.api.get("/deployments").json()["items"] == []


def attributes(event_id: str, account: Account) -> dict[str, str]:
    """The CloudEvents attributes of a request that nobody signed."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/ci",
        "type": "taxiway.deployment.deploy.v1",
        "time": datetime.now(UTC).isoformat(),
        "tenantid": str(account.tenant_id),
    }


def test_a_signed_record_with_a_wrong_schema_is_set_aside(acme: Account) -> None:
    # given
    key_id, key = acme.register_producer()
    wrong = ask_for(acme).model_copy(update={"spec": spec().model_copy(update={"replicas": -1})})
    # when
    request_id = acme.request(wrong, key_id, key)
    # then
    eventually(lambda: set_aside(acme, request_id) == "schema")


def test_producers_are_registered_once_and_for_all(acme: Account) -> None:
    key_id, _ = acme.register_producer()
    body = {"key_id": key_id, "public_key": "A" * 43}
    assert acme.api.post("/producers", body).status_code == 409
    assert acme.door.tenant().api.post("/producers", body).status_code == 409
    assert acme.api.delete(f"/producers/{key_id}").status_code == 204
    assert acme.api.delete(f"/producers/{key_id}").status_code == 204
    assert acme.api.post("/producers", body).status_code == 409
    assert acme.api.post("/producers", {"key_id": f"k-{uuid4()}", "public_key": "short"}).status_code == 422
    records = read_all(acme.door.addresses.kafka_bootstrap, "taxiway.tenant.events.v1")
    eventually(lambda: types_about(acme)[-2:] == ["producer-key-registered", "producer-key-revoked"], say=str(records))


def test_operators_register_list_and_revoke_keys_of_gateways(acme: Account) -> None:
    # given
    operator, key_id = acme.door.operator, f"gateway-{uuid4().hex}"
    key = Ed25519PrivateKey.generate()
    body = {"key_id": key_id, "public_key": public_key_text(key.public_key())}
    of_gateways = body | {"scope": "platform"}
    # then it is operators who do so, and they say so
    assert acme.api.post("/producers", of_gateways).status_code == 403
    assert operator.post("/producers", body).status_code == 403
    assert acme.api.get("/producers?scope=platform").status_code == 403
    assert acme.api.delete(f"/producers/{key_id}?scope=platform").status_code == 403
    answer = operator.post("/producers", of_gateways)
    assert (answer.status_code, answer.json()["scope"]) == (201, "platform")
    assert answer.json()["tenant_id"] == str(PLATFORM_TENANT)
    assert acme.api.post("/producers", body).status_code == 409
    # and it is no tenant's
    listed = {item["key_id"]: item for item in operator.get("/producers?scope=platform&limit=500").json()["items"]}
    assert listed[key_id]["revoked_at"] is None
    assert acme.api.get("/producers").json()["items"] == []
    assert acme.api.delete(f"/producers/{key_id}").status_code == 404
    # and what is the platform's own, the API's key, stays
    own = next(name for name, item in listed.items() if item["scope"] == "api")
    assert operator.delete(f"/producers/{own}?scope=platform").status_code == 409
    # and a gateway reports usage; it deploys nothing in a tenant's name
    asked = acme.request(ask_for(acme), key_id, key)
    eventually(lambda: set_aside(acme, asked) == "signature")
    # when
    for _ in "ab":
        assert operator.delete(f"/producers/{key_id}?scope=platform&reason=leaked").status_code == 204
    # then
    eventually(lambda: len(events_about(acme, key_id)) == 2)
    registered, revoked = events_about(acme, key_id)
    assert (registered.data.scope, registered.key, registered.actor) == ("platform", str(PLATFORM_TENANT), "user:root")
    assert (revoked.data.reason, revoked.tenantid) == ("leaked", str(PLATFORM_TENANT))


def events_about(account: Account, key_id: str) -> list[Event[Any]]:
    """What was said about a producer's key."""
    records = read_all(account.door.addresses.kafka_bootstrap, "taxiway.tenant.events.v1")
    return [
        decode(record.headers, record.value) for record in records if f'"{key_id}"'.encode() in (record.value or b"")
    ]


def types_about(account: Account) -> list[str]:
    """Short names of what was said about the tenant."""
    records = read_all(account.door.addresses.kafka_bootstrap, "taxiway.tenant.events.v1")
    mine = [record for record in records if record.key == str(account.tenant_id).encode()]
    return [header(record, "ce_type").split(".")[2] for record in mine]
