"""Handlers record, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from schemas.base import EventData
from schemas.deployment import DeploymentCancelled, DeploymentRequested
from schemas.envelope import Event
from schemas.placement import (
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    DecisionRecord,
    QueueReason,
)
from schemas.resources import Allocation
from schemas.rollout import AbortRollout, PauseRollout, PromoteRollout, ResumeRollout
from schemas.tenant import TenantResumed, TenantSuspended
from schemas.topics import DEPLOYER_INTAKE, topics_of
from services.deployer.domain.observation import AnswerKind, CommandKind
from services.deployer.handlers import handler_table
from services.kit.errors import PermanentError
from services.kit.persistence.unit_of_work import UnitOfWork
from tests.fakes.deployer.stores import InMemoryRolloutStore
from tests.unit.deployer.world import DEPLOYMENT, TENANT, spec_of, stage_zero

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NO_WORK = cast(UnitOfWork, None)
DECISION = DecisionRecord(
    pool="default", number=1, policy="p", policy_version="1", decided_at=NOW, input_id="i", input_position="t/0/1"
)
REQUESTED = DeploymentRequested(
    deployment_id=DEPLOYMENT, revision=1, spec=spec_of("v1"), reservation_id=stage_zero(1), first_stage_replicas=4
)


@pytest.fixture
def store() -> InMemoryRolloutStore:
    return InMemoryRolloutStore()


async def handle(store: InMemoryRolloutStore, data: EventData, tenant: UUID | None = TENANT) -> None:
    event: Event[Any] = Event(
        id=str(uuid4()),
        source="/test",
        time=NOW,
        data=data,
        tenantid=str(tenant) if tenant else None,
        actor="user:ada",
        correlationid="root",
    )
    await handler_table(store)[type(data)](event, NO_WORK)


async def test_request_is_recorded_once(store: InMemoryRolloutStore) -> None:
    await handle(store, REQUESTED)
    await handle(store, REQUESTED)
    row = store.rows[DEPLOYMENT]
    request, origin = row.requests[1]
    assert (request.revision, request.first_stage_replicas, request.reservation_id) == (1, 4, stage_zero(1))
    assert (origin.actor, origin.correlation_id, origin.tenant_id) == ("user:ada", "root", TENANT)
    assert store.rollout(DEPLOYMENT).latest == 0, "a handler decides nothing"
    assert not store.said


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PauseRollout(deployment_id=DEPLOYMENT, reason="r"), CommandKind.PAUSE),
        (ResumeRollout(deployment_id=DEPLOYMENT, reason="r"), CommandKind.RESUME),
        (PromoteRollout(deployment_id=DEPLOYMENT, reason="r"), CommandKind.PROMOTE),
        (PromoteRollout(deployment_id=DEPLOYMENT, reason="r", full=True), CommandKind.PROMOTE_FULL),
        (AbortRollout(deployment_id=DEPLOYMENT, reason="r"), CommandKind.ABORT),
        (DeploymentCancelled(deployment_id=DEPLOYMENT, reason="r"), CommandKind.CANCEL),
    ],
)
async def test_command_is_recorded(store: InMemoryRolloutStore, data: EventData, kind: CommandKind) -> None:
    await handle(store, REQUESTED)
    await handle(store, data)
    (command, _) = store.rows[DEPLOYMENT].commands[0]
    assert (command.kind, command.reason, command.actor) == (kind, "r", "user:ada")


async def test_command_of_another_tenant_or_deployment_is_dropped(store: InMemoryRolloutStore) -> None:
    await handle(store, REQUESTED)
    await handle(store, AbortRollout(deployment_id=DEPLOYMENT, reason="r"), tenant=uuid4())
    await handle(store, AbortRollout(deployment_id=uuid4(), reason="r"))
    assert not store.rows[DEPLOYMENT].commands


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (
            CapacityQueued(
                reservation_id=stage_zero(1),
                deployment_id=DEPLOYMENT,
                decision=DECISION,
                position=3,
                reason=QueueReason.FRAGMENTED,
                detail="no node has 2",
            ),
            AnswerKind.QUEUED,
            "Fragmented: no node has 2",
        ),
        (
            CapacityRejected(
                reservation_id=stage_zero(1),
                deployment_id=DEPLOYMENT,
                decision=DECISION,
                reason=QueueReason.QUOTA_EXCEEDED,
                detail="5 of 4",
            ),
            AnswerKind.REJECTED,
            "QuotaExceeded: 5 of 4",
        ),
        (
            CapacityReleased(
                reservation_id=stage_zero(1), deployment_id=DEPLOYMENT, decision=DECISION, gpu_milli=0, reason="gone"
            ),
            AnswerKind.RELEASED,
            "gone",
        ),
    ],
)
async def test_answer_is_recorded(store: InMemoryRolloutStore, data: EventData, kind: AnswerKind, reason: str) -> None:
    await handle(store, data)
    answer = store.answers[stage_zero(1)]
    assert (answer.kind, answer.reason) == (kind, reason)


async def test_reserved_places_are_recorded_even_before_the_request(store: InMemoryRolloutStore) -> None:
    """The two travel on different topics: either may come first."""
    places = (Allocation(replica=0, node="n1", devices=(2,), gpu_milli=500),)
    reserved = CapacityReserved(
        reservation_id=stage_zero(1),
        deployment_id=DEPLOYMENT,
        decision=DECISION,
        revision=1,
        stage=0,
        allocations=places,
        gpu_milli=500,
    )
    await handle(store, reserved)
    assert store.answers[stage_zero(1)].allocations == places


async def test_suspension_comes_and_goes(store: InMemoryRolloutStore) -> None:
    await handle(store, TenantSuspended(tenant_id=TENANT, reason="unpaid"))
    assert store.suspended == {TENANT: "unpaid"}
    await handle(store, TenantResumed(tenant_id=TENANT, reason="paid"))
    assert store.suspended == {}


@pytest.mark.parametrize("data", [REQUESTED, AbortRollout(deployment_id=DEPLOYMENT, reason="r")])
async def test_message_without_a_tenant_is_set_aside(store: InMemoryRolloutStore, data: EventData) -> None:
    with pytest.raises(PermanentError):
        await handle(store, data, tenant=None)


def test_only_messages_of_the_groups_topics_have_handlers(store: InMemoryRolloutStore) -> None:
    topics = {topic.name for topic in topics_of(DEPLOYER_INTAKE)}
    assert {kind.topic for kind in handler_table(store)} == topics
