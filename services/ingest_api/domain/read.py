"""What REST shows of deployments, their history and their GPUs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.base import ContractModel
from schemas.deployment import DeploymentSpec
from services.ingest_api.domain.affected import Affected
from services.ingest_api.domain.view import FAILED, DeploymentView, Refusal, Rollout, State, Waiting


class Deployment(ContractModel):
    """A deployment as it was admitted last."""

    deployment_id: UUID
    name: str
    revision: int
    spec: DeploymentSpec
    """Of the newest revision."""
    heading_to: DeploymentSpec | None
    """What it runs or is on its way to; None when its only revision failed."""
    state: State
    is_cancelled: bool
    is_removed: bool


class AsOf(ContractModel):
    """How fresh an answer from the read model is."""

    position: str | None = None
    """Where the newest event in it stands in the log; None before the first one was read."""
    time: datetime | None = None
    """When the log took that event, UTC."""


class Shown(ContractModel):
    """A deployment as GET shows it."""

    deployment_id: UUID
    name: str
    state: State
    revision: int
    """Newest revision that was admitted."""
    spec: DeploymentSpec | None
    stable_revision: int | None
    stable_version: str | None
    """Version that has the traffic, once one was promoted."""
    waiting: Waiting | None
    refusal: Refusal | None
    rollout: Rollout | None
    lost: tuple[Affected, ...] = ()
    """Replicas whose GPUs went away and that have no others yet."""
    draining: tuple[Affected, ...] = ()
    """Replicas that are asked to make room for others, and why."""
    as_of: AsOf


def shown(view: DeploymentView, state: State, revision: int, as_of: AsOf) -> Shown:
    """The view as people see it. `state` and `revision` know of requests that the view has not folded yet."""
    return Shown(
        deployment_id=view.deployment_id,
        name=view.name,
        state=state,
        revision=revision,
        spec=view.spec,
        stable_revision=view.stable_revision,
        stable_version=view.stable_version,
        waiting=view.waiting,
        refusal=view.refusal if state in (*FAILED, State.ROLLING_BACK) else None,
        rollout=view.rollout,
        lost=view.lost,
        draining=view.draining,
        as_of=as_of,
    )


class HistoryEntry(ContractModel):
    """One thing that happened."""

    event_id: str
    type: str
    """CloudEvents type."""
    words: str
    """What happened, as a sentence."""
    actor: str | None
    time: datetime
    """When it happened, by the clock of who wrote it."""
    appended_at: datetime
    """When the log took it, by the broker's clock."""
    position: str
    """`topic/partition/offset`."""
    sort_key: str = ""
    """Where the next page begins."""
    number: int = 0
    """When the read model learned of it, among all entries of the deployment: later is higher."""


class NodeCapacity(ContractModel):
    """A node and what is taken of it."""

    node: str
    pool: str
    gpu_model: str
    gpu_count: int
    gpu_total_milli: int
    gpu_used_milli: int
    """Reserved by all tenants together."""
    cpu_milli: int
    memory_mib: int
    observed_at: datetime
    failed_devices: tuple[int, ...] = ()
    """Indexes of broken devices."""
    is_cordoned: bool = False
    """Whether it takes nothing new."""
    zone: str = ""
