"""What `/placement` tells of a deployment's GPUs, in fields and in words; and what the deployment shows of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from schemas.deployment import DeploymentRequested
from schemas.placement import CapacityRejected, CapacityReserved, RejectedPlace
from tests.fakes.ingest_api.builders import (
    CLAIMANT,
    capacity_rejected,
    lost,
    preempted,
    queued,
    released,
    reserved,
    withdrawn,
)
from tests.fakes.ingest_api.front import Front


async def deployed(front: Front) -> tuple[str, UUID, dict[str, Any]]:
    """A deployment: its path, its first reservation, and what its placement events are about."""
    deployment_id = await front.deploy()
    (said,) = front.said(DeploymentRequested)
    return f"/deployments/{deployment_id}", said.data.reservation_id, {"deployment_id": UUID(deployment_id)}


def held(first: UUID, about: dict[str, Any]) -> CapacityReserved:
    """It is reserved, and nodes were passed over."""
    alternatives = (RejectedPlace(node="node-7", score=3, why="it would leave a hole"),)
    return reserved(first, score=5, alternatives=alternatives, **about)


async def test_before_anybody_decided_there_is_nothing_to_show(front: Front) -> None:
    path, _, _ = await deployed(front)
    shown = await front.get(f"{path}/placement")
    assert (shown["reservations"], shown["refusal"]) == ([], None)
    assert shown["words"] == "chat is requested: it holds no GPUs and waits for none."


async def test_a_decision_is_told_with_all_that_an_audit_needs(front: Front) -> None:
    path, first, about = await deployed(front)
    await front.learn(held(first, about))
    shown = await front.get(f"{path}/placement")
    (only,) = shown["reservations"]
    assert only["decision"] == {
        "pool": "default",
        "number": 17,
        "policy": "packing",
        "policy_version": "1",
        "decided_at": "2026-03-01T12:00:00Z",
        "input_id": "ask-1",
        "input_position": "taxiway.deployment.events.v1/0/4",
        "input_number": None,
    }
    assert (only["score"], only["alternatives"][0]["why"]) == (5, "it would leave a hole")
    assert [(each["node"], each["devices"]) for each in only["allocations"]] == [
        ("node-1", [0]),
        ("node-1", [0]),
        ("node-2", [3]),
    ]
    assert shown["words"] == only["words"]
    assert only["words"].startswith("Stage 0 of revision 1: 1.5 GPUs, 2 replicas on node-1 (device 0)")


async def test_what_waits_is_shown_with_its_reason(front: Front) -> None:
    path, first, about = await deployed(front)
    await front.learn(queued(first).model_copy(update=about))
    (only,) = (await front.get(f"{path}/placement"))["reservations"]
    assert (only["waiting"]["position"], only["allocations"], only["reserved_at"]) == (3, [], None)
    assert (await front.get(path))["state"] == "queued"


async def test_losses_and_drains_are_shown_at_both_places_and_not_for_whom(front: Front) -> None:
    path, first, about = await deployed(front)
    await front.learn(held(first, about), lost((0,), first, **about), preempted((1, 2), first, **about))
    placement = await front.send("GET", f"{path}/placement")
    (only,) = placement.json()["reservations"]
    shown = await front.get(path)
    for seen in (only, shown):
        assert [(each["replicas"], each["reason"]) for each in seen["lost"]] == [([0], "NodeRemoved")]
        assert [(each["replicas"], each["detail"]) for each in seen["draining"]] == [
            ([1, 2], "8 GPUs are needed at priority 500")
        ]
    history = await front.send("GET", f"{path}/history")
    for answer in (placement, history):
        assert str(CLAIMANT) not in answer.text
    # when one may stay, one is given back, and the lost one has a place again
    await front.learn(
        withdrawn((1,), first, **about), released(first, (2,), gpu_milli=500, **about), held(first, about)
    )
    (only,) = (await front.get(f"{path}/placement"))["reservations"]
    shown = await front.get(path)
    assert [seen[field] for seen in (only, shown) for field in ("lost", "draining")] == [[]] * 4
    assert len((await front.get(f"{path}/history"))["items"]) == 6


async def test_a_refusal_is_told_beside_what_is_held(front: Front) -> None:
    path, first, about = await deployed(front)
    refused: CapacityRejected = capacity_rejected(first).model_copy(update=about)
    await front.learn(refused)
    shown = await front.get(f"{path}/placement")
    assert (shown["reservations"], shown["refusal"]["code"]) == ([], "TooLargeForPool")
    assert shown["words"] == "GPUs were refused (TooLargeForPool): no node of the pool has 8 GPUs."
