"""The way of a deployment through the front door: asked for, shown as events come in, changed, deleted."""

from __future__ import annotations

from uuid import UUID, uuid4

from schemas.deployment import DeploymentRequested
from schemas.envelope import decode
from schemas.node import NodeObserved
from schemas.placement import CapacityReleased, CapacityReserved
from schemas.resources import Allocation
from schemas.rollout import (
    RolloutAborted,
    RolloutPromoted,
    RolloutRemoved,
    RolloutRolledBack,
    RolloutStarted,
    StageEntered,
    TrafficShifted,
)
from tests.fakes.ingest_api.builders import DECISION, queued, reserved
from tests.integration.ingest_api.harness import SPEC, Account, eventually
from tests.integration.kit.harness import header, read_all


def said(account: Account, topic: str, key: str) -> list[str]:
    """CloudEvents types on a topic under a key, in order."""
    records = read_all(account.door.addresses.kafka_bootstrap, topic)
    return [header(record, "ce_type") for record in records if record.key == key.encode()]


def reservation_of(account: Account, deployment_id: str) -> UUID:
    """The first stage's reservation of the newest revision, as the log announces it."""
    topic = "taxiway.deployment.events.v1"

    def requests() -> list[DeploymentRequested]:
        records = read_all(account.door.addresses.kafka_bootstrap, topic)
        events = [decode(record.headers, record.value) for record in records if record.key == deployment_id.encode()]
        return [event.data for event in events if isinstance(event.data, DeploymentRequested)]

    eventually(lambda: bool(requests()))
    return requests()[-1].reservation_id


def test_a_deployment_is_admitted_announced_and_shown(acme: Account) -> None:
    # when
    answer = acme.api.post("/deployments", SPEC)
    # then
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/deployments/{body['deployment_id']}"
    assert (body["state"], body["revision"], body["as_of"]["position"]) == ("requested", 1, None)
    topic = "taxiway.deployment.events.v1"
    eventually(lambda: said(acme, topic, body["deployment_id"]) == ["taxiway.deployment.requested.v1"])
    eventually(lambda: acme.api.get(answer.headers["location"]).json()["as_of"]["position"] is not None)
    entry = acme.api.get(f"{answer.headers['location']}/history").json()["items"][0]
    assert entry["words"].startswith("API key ")
    assert entry["position"].startswith(topic)


def first_revision_served(account: Account) -> tuple[str, dict[str, UUID]]:
    """Deploy version 1.0 and tell what scheduler and deployer would."""
    deployment_id = account.deploy()
    ids = {"deployment_id": UUID(deployment_id), "reservation_id": reservation_of(account, deployment_id)}
    account.tell(queued().model_copy(update=ids))
    eventually(account.shows(deployment_id, state="queued"))
    about = {"deployment_id": deployment_id, "revision": 1}
    account.tell(
        reserved().model_copy(update=ids),
        RolloutStarted(**about, version="1.0", stable_revision=None, weights=(100,)),
        StageEntered(**about, stage=0, weight=100, ready_replicas=4),
    )
    eventually(account.shows(deployment_id, state="rolling_out"))
    account.tell(TrafficShifted(**about, weight=100), RolloutPromoted(**about, version="1.0"))
    eventually(account.shows(deployment_id, state="serving", stable_version="1.0"))
    return deployment_id, ids


def test_the_read_model_follows_scheduler_and_deployer(acme: Account) -> None:
    # given
    deployment_id, ids = first_revision_served(acme)
    # then placement, history in words, and the rollout
    placement = acme.api.get(f"/deployments/{deployment_id}/placement").json()
    assert [held["gpu_milli"] for held in placement["reservations"]] == [1500]
    words = [entry["words"] for entry in acme.api.get(f"/deployments/{deployment_id}/history").json()["items"]]
    assert len(words) == 7, words
    assert any("1.5 GPUs" in sentence and "node-1" in sentence for sentence in words)
    rollout = acme.api.get(f"/deployments/{deployment_id}/rollout").json()
    assert (rollout["rollout"]["phase"], rollout["rollout"]["weight"]) == ("promoted", 100)
    # when the GPUs are given back
    acme.tell(CapacityReleased(**ids, decision=DECISION, gpu_milli=1500, reason="gone"))
    # then
    eventually(lambda: acme.api.get(f"/deployments/{deployment_id}/placement").json()["reservations"] == [])


def test_a_bad_version_rolls_back_and_the_next_change_starts_from_the_stable_one(acme: Account) -> None:
    # given
    deployment_id, _ = first_revision_served(acme)
    path = f"/deployments/{deployment_id}"
    # when version 2.0 fails
    changed = acme.api.patch(path, {"version": "2.0"})
    assert (changed.status_code, changed.json()["state"], changed.json()["revision"]) == (202, "requested", 2)
    about = {"deployment_id": deployment_id, "revision": 2}
    acme.tell(
        RolloutStarted(**about, version="2.0", stable_revision=1, weights=(10, 100)),
        RolloutAborted(**about, reason="error rate 20 %"),
        RolloutRolledBack(**about, reason="error rate 20 %"),
    )
    # then
    eventually(acme.shows(deployment_id, state="rolled_back", stable_version="1.0", revision=2))
    # and asking for what runs is no change; other replicas are one, of version 1.0
    assert acme.api.patch(path, {"version": "1.0"}).json()["type"] == "/problems/no-change"
    scaled = acme.api.patch(path, {"replicas": 6})
    assert scaled.json()["revision"] == 3
    eventually(lambda: acme.api.get(path).json()["spec"] == acme.api.get(path).json()["spec"] | {"replicas": 6})
    assert acme.api.get(path).json()["spec"]["version"] == "1.0"


def test_what_was_asked_hides_the_old_outcome_at_once(acme: Account) -> None:
    """Who changes a deployment and waits for `serving` must not be answered with the revision before."""
    # given
    deployment_id, _ = first_revision_served(acme)
    # when
    acme.api.patch(f"/deployments/{deployment_id}", {"version": "2.0"})
    # then
    shown = acme.api.get(f"/deployments/{deployment_id}").json()
    assert (shown["state"], shown["revision"]) == ("requested", 2)
    assert acme.api.get("/deployments?state=serving").json()["items"] == []
    assert len(acme.api.get("/deployments?state=requested").json()["items"]) == 1


def test_deleting_frees_the_name_once_everything_is_gone(acme: Account) -> None:
    # given
    deployment_id, _ = first_revision_served(acme)
    # when
    deleted = acme.api.delete(f"/deployments/{deployment_id}?reason=obsolete")
    # then
    assert (deleted.status_code, deleted.json()["state"]) == (202, "removing")
    assert acme.api.delete(f"/deployments/{deployment_id}").status_code == 202
    assert acme.api.post("/deployments", SPEC).json()["type"] == "/problems/deployment-removing"
    assert acme.api.post(f"/deployments/{deployment_id}/rollout/abort", {"reason": "late"}).status_code == 409
    topic = "taxiway.deployment.events.v1"
    eventually(lambda: said(acme, topic, deployment_id)[-1] == "taxiway.deployment.cancelled.v1")
    assert said(acme, topic, deployment_id).count("taxiway.deployment.cancelled.v1") == 1
    # when the deployer is done
    acme.tell(RolloutRemoved(deployment_id=UUID(deployment_id), revision=1, reason="obsolete"))
    # then
    eventually(acme.shows(deployment_id, state="removed"))
    assert acme.api.patch(f"/deployments/{deployment_id}", {"version": "2.0"}).status_code == 404
    assert acme.deploy() != deployment_id


def test_commands_reach_a_rollout_under_way_and_no_other(acme: Account) -> None:
    # given
    deployment_id = acme.deploy()
    path = f"/deployments/{deployment_id}/rollout"
    # when
    answers = [
        acme.api.post(f"{path}/pause", {"reason": "look"}),
        acme.api.post(f"{path}/resume", {"reason": "fine"}),
        acme.api.post(f"{path}/promote", {"reason": "sure", "full": True}),
        acme.api.post(f"{path}/abort", {"reason": "no"}),
    ]
    # then
    assert [answer.status_code for answer in answers] == [202] * 4
    verbs = [f"taxiway.rollout.{verb}.v1" for verb in ("pause", "resume", "promote", "abort")]
    eventually(lambda: said(acme, "taxiway.rollout.commands.v1", deployment_id) == verbs)
    assert acme.api.post(f"{path}/pause", {}).json()["errors"][0]["pointer"] == "/reason"
    # and once it serves there is nothing to command
    served, _ = first_revision_served_under(acme, "other")
    assert (
        acme.api.post(f"/deployments/{served}/rollout/pause", {"reason": "x"}).json()["type"] == "/problems/no-rollout"
    )


def first_revision_served_under(account: Account, name: str) -> tuple[str, str]:
    """A second deployment that serves."""
    deployment_id = account.deploy(name=name)
    about = {"deployment_id": deployment_id, "revision": 1}
    account.tell(RolloutStarted(**about, version="1.0", stable_revision=None, weights=(100,)))
    account.tell(RolloutPromoted(**about, version="1.0"))
    eventually(account.shows(deployment_id, state="serving"))
    return deployment_id, name


def test_capacity_sums_what_all_tenants_hold(acme: Account) -> None:
    # given
    node, deployment_id = f"node-{uuid4().hex}", acme.deploy()
    acme.tell(NodeObserved(node=node, cpu_milli=64_000, memory_mib=1000, gpu_count=4, gpu_model="A100"))
    allocations = (Allocation(replica=0, node=node, devices=(0, 1), gpu_milli=1000),)
    acme.tell(
        CapacityReserved(
            deployment_id=UUID(deployment_id),
            reservation_id=uuid4(),
            decision=DECISION,
            revision=1,
            stage=0,
            allocations=allocations,
            gpu_milli=2000,
        )
    )

    # then
    def used() -> list[tuple[int, int]]:
        nodes = acme.door.operator.get("/capacity").json()["nodes"]
        return [(each["gpu_total_milli"], each["gpu_used_milli"]) for each in nodes if each["node"] == node]

    eventually(lambda: used() == [(4000, 2000)])


def test_lists_go_page_by_page(acme: Account) -> None:
    # given
    names = ["one", "two", "three"]
    for name in names:
        acme.deploy(name=name)
    # when
    seen: list[str] = []
    path: str | None = "/api/v1/deployments?limit=2&model=llama"
    while path:
        page = acme.api.get(path).json()
        seen += [item["name"] for item in page["items"]]
        path = page["next"]
    # then newest first, each once
    assert seen == ["three", "two", "one"]
    assert acme.api.get("/deployments?cursor=%00").status_code == 422
    assert acme.api.get("/deployments?cursor=YWJj").json()["detail"].startswith("cursor: it is of another list")


def test_a_rejected_queue_entry_says_why(acme: Account) -> None:
    # given
    deployment_id = acme.deploy()
    # when
    acme.tell(queued(reservation_of(acme, deployment_id)).model_copy(update={"deployment_id": UUID(deployment_id)}))
    # then
    eventually(acme.shows(deployment_id, state="queued"))
    waiting = acme.api.get(f"/deployments/{deployment_id}/rollout").json()["waiting"]
    assert (waiting["position"], waiting["reason"]) == (3, "NoFreeCapacity")
