"""Models and deployments over REST: what is admitted, said and shown, and what is refused with which field."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from schemas.deployment import DeploymentCancelled, DeploymentRequested
from schemas.node import NodeObserved, NodeRemoved
from schemas.placement import CapacityReleased
from schemas.rollout import (
    AbortRollout,
    PauseRollout,
    PromoteRollout,
    ResumeRollout,
    RolloutPromoted,
    RolloutRemoved,
    RolloutRolledBack,
    RolloutStarted,
    StageEntered,
    TrafficShifted,
)
from schemas.tenant import TenantSuspended
from services.kit.messaging.lag import Lag, Snapshot
from tests.fakes.ingest_api.application import OPERATOR, Application
from tests.fakes.ingest_api.builders import DECISION, NOW, queued, reserved
from tests.fakes.ingest_api.front import SPEC, Front, problem


async def serving(front: Front, **changes: Any) -> str:
    """A deployment whose first revision went well."""
    deployment_id = await front.deploy(**changes)
    about: dict[str, Any] = {"deployment_id": UUID(deployment_id), "revision": 1}
    await front.learn(
        RolloutStarted(**about, version="1.0", weights=(100,)),
        StageEntered(**about, stage=0, weight=100, ready_replicas=4),
        TrafficShifted(**about, weight=100),
        RolloutPromoted(**about, version="1.0"),
    )
    return deployment_id


async def test_models_and_versions_are_registered_listed_and_archived(front: Front) -> None:
    created = await front.send("POST", "/models", {"name": "code", "description": "writes"})
    assert (created.status_code, created.headers["location"]) == (201, "/api/v1/models/code")
    assert [each["name"] for each in (await front.get("/models"))["items"]] == ["code", "llama"]
    await front.post("/models/code/versions", {"version": "1", "size_mib": 7, "artifact": "s3://x"})
    (version,) = (await front.get("/models/code/versions"))["items"]
    assert (version["version"], version["size_mib"]) == ("1", 7)
    assert (await front.post("/models/code/archive"))["archived_at"] is not None
    assert problem(await front.send("POST", "/models/code/versions", {"version": "2"}))[1] == "model-archived"
    assert problem(await front.send("POST", "/deployments", SPEC | {"model": "code"}))[1:] == (
        "model-archived",
        ["/model"],
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/models", {"name": "llama"}, "conflict"),
        ("POST", "/models/llama/versions", {"version": "1.0"}, "conflict"),
        ("POST", "/models/nobodys/versions", {"version": "1.0"}, "not-found"),
        ("GET", "/models/nobodys", None, "not-found"),
        ("GET", "/models/nobodys/versions", None, "not-found"),
        ("POST", "/models/nobodys/archive", None, "not-found"),
    ],
)
async def test_what_a_model_cannot_do(front: Front, method: str, path: str, body: Any, code: str) -> None:
    assert problem(await front.send(method, path, body))[1] == code


async def test_a_plan_bounds_the_models_and_an_archived_one_makes_room(front: Front) -> None:
    plan = {"name": "team", "max_models": 2}
    await front.send("PUT", "/tenants/00000000-0000-0000-0000-000000000001/quota", plan, credential=OPERATOR)
    await front.post("/models", {"name": "code"})
    answer = await front.send("POST", "/models", {"name": "embed"})
    assert problem(answer)[:2] == (403, "quota-exceeded")
    assert {"limit": 2, "settled": 2, "asked": 1}.items() <= answer.json().items()
    assert problem(await front.send("POST", "/models", {"name": "code"}))[1] == "conflict", "no quota is asked for"
    await front.post("/models/code/archive")
    await front.post("/models", {"name": "embed"})


async def test_an_admitted_deployment_is_told_with_who_asked_and_shown_at_once(front: Front) -> None:
    answer = await front.send("POST", "/deployments", SPEC, headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    shown = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/deployments/{shown['deployment_id']}"
    assert (shown["state"], shown["revision"], shown["as_of"]) == ("requested", 1, {"position": None, "time": None})
    (said,) = front.said(DeploymentRequested)
    assert (str(said.data.deployment_id), said.data.revision) == (shown["deployment_id"], 1)
    assert said.data.first_stage_replicas == 4, "a first revision takes all traffic at once"
    assert (said.actor, said.correlationid) == ("user:ann", answer.headers["x-trace-id"])
    assert await front.get(f"/deployments/{shown['deployment_id']}") == shown


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"model": "nobodys"}, "model-not-found", "/model"),
        ({"version": "9"}, "version-not-found", "/version"),
        ({"name": "c" * 41}, "deployment-name-invalid", "/name"),
        ({"replicas": 0}, "invalid-request", "/replicas"),
        ({"colour": "red"}, "invalid-request", "/colour"),
    ],
)
async def test_a_refused_deployment_is_told_to_nobody_but_its_sender(
    front: Front, changes: Any, code: str, pointer: str
) -> None:
    answer = await front.send("POST", "/deployments", SPEC | changes)
    assert problem(answer)[1:] == (code, [pointer])
    assert front.said() == []
    assert (await front.get("/deployments"))["items"] == []


async def test_a_name_is_taken_until_its_deployment_is_gone(front: Front) -> None:
    first = await front.deploy()
    answer = await front.send("POST", "/deployments", SPEC)
    assert problem(answer) == (409, "deployment-exists", ["/name"])
    assert first in answer.json()["errors"][0]["message"]
    await front.send("DELETE", f"/deployments/{first}?reason=done")
    assert problem(await front.send("POST", "/deployments", SPEC))[1] == "deployment-removing"
    await front.learn(RolloutRemoved(deployment_id=UUID(first), revision=1, reason="done"))
    assert await front.deploy() != first


async def test_a_change_is_a_new_revision_of_what_runs(front: Front) -> None:
    deployment_id = await serving(front)
    answer = await front.send("PATCH", f"/deployments/{deployment_id}", {"version": "2.0", "replicas": 20})
    assert (answer.status_code, answer.json()["revision"], answer.json()["state"]) == (202, 2, "requested")
    said = front.said(DeploymentRequested)[-1].data
    assert (said.revision, said.spec.version, said.spec.replicas, said.spec.name) == (2, "2.0", 20, "chat")
    assert said.first_stage_replicas == 2, "the first weight's share: 10 % of 20"
    assert len({each.data.reservation_id for each in front.said(DeploymentRequested)}) == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "invalid-request"), ({"version": "1.0"}, "no-change"), ({"version": "9"}, "version-not-found")],
)
async def test_a_change_of_nothing_or_to_nothing_is_refused(front: Front, body: Any, code: str) -> None:
    deployment_id = await serving(front)
    assert problem(await front.send("PATCH", f"/deployments/{deployment_id}", body))[1] == code
    assert len(front.said(DeploymentRequested)) == 1


async def test_a_change_after_a_failed_one_is_of_what_runs(front: Front) -> None:
    deployment_id = await serving(front)
    await front.send("PATCH", f"/deployments/{deployment_id}", {"version": "2.0"})
    about: dict[str, Any] = {"deployment_id": UUID(deployment_id), "revision": 2}
    await front.learn(
        front.said(DeploymentRequested)[-1].data,
        RolloutStarted(**about, version="2.0", weights=(10, 100)),
        RolloutRolledBack(**about, reason="slow"),
    )
    answer = await front.send("PATCH", f"/deployments/{deployment_id}", {"replicas": 7})
    assert answer.status_code == 202, answer.text
    said = front.said(DeploymentRequested)[-1].data
    assert (said.revision, said.spec.version, said.spec.replicas) == (3, "1.0", 7), (
        "the bad version is not brought back"
    )


async def test_what_is_gone_can_be_looked_at_and_not_changed(front: Front) -> None:
    deployment_id = await serving(front)
    await front.send("DELETE", f"/deployments/{deployment_id}")
    await front.learn(RolloutRemoved(deployment_id=UUID(deployment_id), revision=1, reason="done"))
    assert (await front.get(f"/deployments/{deployment_id}"))["state"] == "removed"
    for method, path, body in (
        ("PATCH", "", {"replicas": 2}),
        ("DELETE", "", None),
        ("POST", "/rollout/abort", {"reason": "late"}),
    ):
        answer = await front.send(method, f"/deployments/{deployment_id}{path}", body)
        assert problem(answer)[:2] == (404, "not-found"), method
    assert len(front.said(DeploymentCancelled)) == 1


async def test_a_deletion_is_told_once_with_its_reason(front: Front) -> None:
    deployment_id = await serving(front)
    for reason in ("done", "again"):
        answer = await front.send("DELETE", f"/deployments/{deployment_id}?reason={reason}")
        assert (answer.status_code, answer.json()["state"]) == (202, "removing")
    (said,) = front.said(DeploymentCancelled)
    assert (said.data.reason, said.actor) == ("done", "user:ann")


@pytest.mark.parametrize(
    ("verb", "body", "kind"),
    [
        ("pause", {"reason": "look"}, PauseRollout),
        ("resume", {"reason": "seen"}, ResumeRollout),
        ("promote", {"reason": "good", "full": True}, PromoteRollout),
        ("abort", {"reason": "bad"}, AbortRollout),
    ],
)
async def test_a_rollout_is_told_what_to_do_by_whom_and_why(front: Front, verb: str, body: Any, kind: Any) -> None:
    deployment_id = await front.deploy()
    await front.post(f"/deployments/{deployment_id}/rollout/{verb}", body)
    (said,) = front.said(kind)
    assert said.actor == "user:ann"
    assert said.data.model_dump(mode="json") == {"deployment_id": deployment_id, **body}
    assert problem(await front.send("POST", f"/deployments/{deployment_id}/rollout/{verb}", {}))[2] == ["/reason"]


async def test_without_a_rollout_there_is_nobody_to_tell(front: Front) -> None:
    deployment_id = await serving(front)
    answer = await front.send("POST", f"/deployments/{deployment_id}/rollout/pause", {"reason": "look"})
    assert problem(answer)[:2] == (409, "no-rollout")
    assert front.said(PauseRollout) == []


async def test_anothers_deployment_is_not_there(front: Front) -> None:
    deployment_id = await front.deploy()
    other = await front.tenant_of("globex")
    created = await front.post(f"/tenants/{other}/keys", {"name": "ci", "scopes": ["admin"]}, credential=OPERATOR)
    path = f"/deployments/{deployment_id}"
    for method, where, body in (
        ("GET", path, None),
        ("GET", f"{path}/history", None),
        ("GET", f"{path}/placement", None),
        ("GET", f"{path}/rollout", None),
        ("GET", f"{path}/events", None),
        ("PATCH", path, {"replicas": 2}),
        ("DELETE", path, None),
        ("POST", f"{path}/rollout/abort", {"reason": "mine"}),
    ):
        answer = await front.send(method, where, body, credential=created["token"])
        assert problem(answer)[:2] == (404, "not-found"), (method, where)
    assert front.said(DeploymentCancelled) == []
    assert front.said(AbortRollout) == []


async def test_what_happened_is_folded_into_what_is_shown_with_its_place(front: Front) -> None:
    deployment_id = await front.deploy()
    about = UUID(deployment_id)
    first = front.said(DeploymentRequested)[0].data.reservation_id
    await front.learn(queued(first).model_copy(update={"deployment_id": about}))
    shown = await front.get(f"/deployments/{deployment_id}")
    assert (shown["state"], shown["waiting"]["position"]) == ("queued", 3)
    (happened,) = await front.learn(reserved(first, deployment_id=about))
    shown = await front.get(f"/deployments/{deployment_id}")
    assert (shown["state"], shown["waiting"]) == ("requested", None)
    assert shown["as_of"] == {"position": str(happened.position), "time": NOW.isoformat().replace("+00:00", "Z")}
    placement = await front.get(f"/deployments/{deployment_id}/placement")
    assert [held["gpu_milli"] for held in placement["reservations"]] == [1500]
    assert placement["as_of"] == shown["as_of"]
    released = CapacityReleased(
        reservation_id=first, deployment_id=about, decision=DECISION, gpu_milli=1500, reason="done"
    )
    await front.learn(released)
    assert (await front.get(f"/deployments/{deployment_id}/placement"))["reservations"] == []
    assert front.rung == [about] * 3


async def test_the_history_is_every_event_in_words_page_by_page(front: Front) -> None:
    deployment_id = await serving(front)
    path = f"/deployments/{deployment_id}/history"
    first = await front.get(f"{path}?limit=3")
    assert [entry["type"].rpartition("taxiway.rollout.")[2] for entry in first["items"]] == [
        "started.v1",
        "stage-entered.v1",
        "traffic-shifted.v1",
    ]
    rest = await front.get(first["next"])
    assert [entry["words"] for entry in rest["items"]] == [
        "Revision 1, version 1.0, has all traffic and is the stable one now."
    ]
    assert rest["next"] is None


async def test_an_event_that_comes_again_is_in_the_history_once(front: Front) -> None:
    deployment_id = await front.deploy()
    (happened,) = await front.learn(
        RolloutStarted(deployment_id=UUID(deployment_id), revision=1, version="1.0", weights=(100,))
    )
    await front.learn(happened)
    assert len((await front.get(f"/deployments/{deployment_id}/history"))["items"]) == 1


async def test_lists_are_paged_and_filtered(front: Front) -> None:
    ids = [await front.deploy(name=f"d{number}") for number in range(3)]
    await front.send("DELETE", f"/deployments/{ids[0]}")
    page = await front.get("/deployments?limit=2")
    rest = await front.get(page["next"])
    assert [each["deployment_id"] for each in (*page["items"], *rest["items"])] == ids[::-1]
    assert [each["deployment_id"] for each in (await front.get("/deployments?state=removing"))["items"]] == ids[:1]
    assert (await front.get("/deployments?model=code"))["items"] == []
    assert problem(await front.send("GET", "/deployments?cursor=bm90IGEgdXVpZA"))[1] == "invalid-request"
    assert problem(await front.send("GET", "/deployments?limit=501"))[1] == "invalid-request"


async def test_who_waits_is_answered_at_the_first_change(front: Front) -> None:
    deployment_id = await front.deploy()
    path = f"/deployments/{deployment_id}"
    etag = (await front.send("GET", path)).headers["etag"]
    waiting = asyncio.create_task(front.send("GET", f"{path}?wait=30s", headers={"If-None-Match": etag}))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await front.learn(RolloutStarted(deployment_id=UUID(deployment_id), revision=1, version="1.0", weights=(100,)))
    answer = await asyncio.wait_for(waiting, 5)
    assert answer.json()["state"] == "rolling_out"
    assert answer.headers["etag"] != etag
    late = await front.send("GET", f"{path}?wait=30s", headers={"If-None-Match": etag})
    assert late.json()["state"] == "rolling_out", "the change was before the call"


async def test_who_waits_is_answered_when_the_time_is_over_or_the_process_leaves(front: Front) -> None:
    deployment_id = await front.deploy()
    path = f"/deployments/{deployment_id}?wait=30s"
    waiting = asyncio.create_task(front.send("GET", path))
    await asyncio.sleep(0.02)
    front.clock.advance(31)
    front.application.bell.ring(UUID(deployment_id))
    assert (await asyncio.wait_for(waiting, 5)).json()["state"] == "requested"
    waiting = asyncio.create_task(front.send("GET", path))
    await asyncio.sleep(0.02)
    front.application.bell.close()
    assert (await asyncio.wait_for(waiting, 5)).status_code == 200
    assert problem(await front.send("GET", f"/deployments/{deployment_id}?wait=soon"))[1] == "invalid-request"


async def test_capacity_is_what_nodes_have_and_all_tenants_hold(front: Front) -> None:
    node = NodeObserved(node="node-1", pool="default", gpu_model="A100", gpu_count=2, cpu_milli=1000, memory_mib=1000)
    await front.learn(node, node.model_copy(update={"node": "node-9", "pool": "other"}))
    deployment_id = UUID(await front.deploy())
    await front.learn(reserved(deployment_id=deployment_id))
    seen = await front.get("/capacity", credential=OPERATOR)
    assert (seen["gpu_total_milli"], seen["gpu_used_milli"]) == (4000, 1000)
    assert [each["node"] for each in seen["nodes"]] == ["node-1", "node-9"]
    assert [each["node"] for each in (await front.get("/capacity?pool=other", credential=OPERATOR))["nodes"]] == [
        "node-9"
    ]
    await front.learn(NodeRemoved(node="node-9", reason="gone"))
    assert len((await front.get("/capacity", credential=OPERATOR))["nodes"]) == 1


class Measured:
    """A lag probe that has measured once."""

    def snapshot(self) -> Snapshot | None:
        """It."""
        lag = Lag("t", 0, "g", 3, 5, 2, 1.5)
        return Snapshot(NOW - timedelta(seconds=2), (lag,), {"t.dlq.g": 1})


async def test_lag_is_told_once_it_is_measured(front: Front) -> None:
    answer = await front.send("GET", "/lag", credential=OPERATOR)
    assert problem(answer)[:2] == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    measured = Application(transactions=front.door.transactions, lag=Measured())
    seen = (await measured.send("GET", "/lag", credential=OPERATOR)).json()
    assert (seen["lags"][0]["offsets_behind"], seen["dead_letters"]) == (2, {"t.dlq.g": 1})


async def test_a_suspended_tenant_starts_nothing_new(front: Front) -> None:
    deployment_id = await serving(front)
    path = "/tenants/00000000-0000-0000-0000-000000000001/suspend"
    await front.post(path, {"reason": "unpaid"}, credential=OPERATOR)
    assert len(front.said(TenantSuspended)) == 1
    for method, where, body in (
        ("POST", "/deployments", SPEC | {"name": "other"}),
        ("PATCH", f"/deployments/{deployment_id}", {"replicas": 2}),
    ):
        answer = await front.send(method, where, body)
        assert problem(answer)[:2] == (403, "tenant-suspended")
        assert "unpaid" in answer.json()["detail"]
    assert (await front.send("DELETE", f"/deployments/{deployment_id}")).status_code == 202
