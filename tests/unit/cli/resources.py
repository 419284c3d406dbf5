"""Resources as the real API gives them: instances of its own models."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from schemas.placement import RejectedPlace
from schemas.resources import Allocation
from schemas.tenant import GpuQuota, Limit, Meter, Plan, ProducerScope, Window
from services.ingest_api.domain.affected import Affected
from services.ingest_api.domain.identity import Scope
from services.ingest_api.domain.read import AsOf, HistoryEntry, NodeCapacity, Shown
from services.ingest_api.domain.reservation import Reservation
from services.ingest_api.domain.resources import KeyView, Model, ModelVersion, Producer, Tenant
from services.ingest_api.domain.view import Analysis, Rollout, State, Waiting
from tests.unit.cli.events import DEPLOYMENT, NOON, REQUESTED, RESERVATION
from tests.unit.cli.events import RESERVED as EVENT

TENANT_ID = UUID(int=1)
PLAN = Plan(
    name="team",
    max_models=3,
    max_concurrent_gpu_milli=2500,
    max_waiting_requests=40,
    limits=(Limit(meter=Meter.INPUT_TOKENS, window=Window.DAY, amount=1000),),
    gpu_quotas=(
        GpuQuota(gpu_model="A100", guaranteed_milli=4000, borrowing_limit_milli=2000, lending_limit_milli=500),
        GpuQuota(guaranteed_milli=500),
    ),
    weight=3,
)
TENANT = Tenant(tenant_id=TENANT_ID, name="acme", plan=PLAN, created_at=NOON)
KEY = KeyView(
    key_id="k1",
    name="ci",
    scopes=(Scope.ADMIN, Scope.READ),
    created_at=NOON,
    created_by="user:root",
    expires_at=None,
    revoked_at=None,
)
MODEL = Model(name="llama", description="a [bold]model[/bold]", created_at=NOON)
VERSION = ModelVersion(model="llama", version="1.0", artifact="s3://models/llama", size_mib=12345, created_at=NOON)
PRODUCER = Producer(
    key_id="p1",
    tenant_id=TENANT_ID,
    public_key="x" * 43,
    scope=ProducerScope.TENANT,
    registered_at=NOON,
    registered_by="user:ann",
)
RESERVED = Reservation(
    reservation_id=RESERVATION,
    pool="default",
    revision=1,
    stage=0,
    gpu_milli=1500,
    allocations=(Allocation(replica=0, node="node-1", devices=(0, 3), gpu_milli=500),),
    explanation="the tightest devices that fit",
    score=87,
    alternatives=(RejectedPlace(node="node-7", score=3, why="it would leave a hole"),),
    decision=EVENT.decision,
    waiting=Waiting(
        reservation_id=RESERVATION,
        position=3,
        reason="NoFreeCapacity",
        detail="1.5 GPUs are free",
        estimated_start=NOON + timedelta(minutes=5),
    ),
    lost=(Affected(reservation_id=RESERVATION, replicas=(1, 2), reason="NodeRemoved", detail="node-9 is gone"),),
    draining=(Affected(reservation_id=RESERVATION, replicas=(0,), reason="Priority", detail="8 GPUs are needed"),),
    reserved_at=NOON,
)
NODE = NodeCapacity(
    node="node-1",
    pool="default",
    gpu_model="A100",
    gpu_count=8,
    gpu_total_milli=8000,
    gpu_used_milli=1500,
    cpu_milli=64_000,
    memory_mib=1000,
    observed_at=NOON,
)
ROLLOUT = Rollout(
    revision=2,
    version="2.0",
    weights=(10, 100),
    stage=0,
    target_weight=10,
    weight=7,
    ready_replicas=1,
    analysis=Analysis(stage=0, verdict="Fail", reason="error rate 20 %"),
)
WAITING = Waiting(reservation_id=RESERVATION, position=3, reason="NoFreeCapacity", detail="1.5 GPUs are free")


def shown(state: State = State.ROLLING_OUT, **changes: Any) -> Shown:
    """A deployment on its way."""
    fields: dict[str, Any] = {
        "deployment_id": DEPLOYMENT,
        "name": "chat",
        "state": state,
        "revision": 2,
        "spec": REQUESTED.spec,
        "stable_revision": 1,
        "stable_version": "1.0",
        "waiting": None,
        "refusal": None,
        "rollout": ROLLOUT,
        "as_of": AsOf(position="taxiway.rollout.events.v1/0/4", time=NOON),
    }
    return Shown(**fields | changes)


def entry(number: int, words: str = "something happened") -> HistoryEntry:
    """An entry of a history."""
    return HistoryEntry(
        event_id=f"e{number}",
        type="taxiway.rollout.started.v1",
        words=words,
        actor="service:deployer",
        time=NOON,
        appended_at=NOON,
        position=f"taxiway.rollout.events.v1/0/{number}",
    )
