"""What one pass sees: read fresh each time, never remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from schemas.deployment import DeploymentSpec
from schemas.resources import Allocation
from schemas.rollout import Measurement
from services.deployer.domain.model import Slot


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """What the cluster shows of one revision's pods."""

    revision: int
    version: int
    """Grows with each change of what is wanted; a write that names an older one is refused."""
    slots: tuple[Slot, ...]
    """Places that were asked for, in the order of `Revision.slots`."""
    pods: int
    """Pods that exist, those that start or end included."""
    ready: int
    """Pods that answer requests."""


@dataclass(frozen=True, slots=True)
class RouteView:
    """What the cluster shows of the deployment's route. Written is not applied: both sides are here."""

    generation: int
    """Grows with each write."""
    observed_generation: int
    """Generation that the gateway works by."""
    weights: Mapping[int, int]
    """Revision to percent, as written."""
    applied: Mapping[int, int]
    """Revision to percent, as the gateway splits."""

    @property
    def is_applied(self) -> bool:
        """Whether the gateway works by what was written last."""
        return self.observed_generation >= self.generation and dict(self.applied) == dict(self.weights)


NO_ROUTE = RouteView(0, 0, {}, {})
"""The view of a deployment that has no route."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One deployment in the cluster."""

    workloads: Mapping[int, WorkloadView] = field(default_factory=dict)
    """By revision; a workload is here until its last pod is gone."""
    route: RouteView = NO_ROUTE

    def ready(self, revision: int) -> int:
        """Ready pods of `revision`."""
        view = self.workloads.get(revision)
        return view.ready if view else 0

    def is_gone(self, revision: int) -> bool:
        """Whether no pod of `revision` is left."""
        return revision not in self.workloads

    def carries(self, revision: int) -> bool:
        """Whether `revision` has, or may still have, traffic."""
        return revision in self.route.weights or revision in self.route.applied


class AnswerKind(StrEnum):
    """What the scheduler said last about a reservation."""

    QUEUED = "queued"
    RESERVED = "reserved"
    REJECTED = "rejected"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Answer:
    """The scheduler's last word about one reservation."""

    kind: AnswerKind
    reason: str = ""
    """Why it waits, was refused or was released, in words."""
    allocations: tuple[Allocation, ...] = ()
    """Where the replicas go; of a reserved one only."""


@dataclass(frozen=True, slots=True)
class Request:
    """A revision that was asked for and not yet taken up."""

    revision: int
    spec: DeploymentSpec
    reservation_id: UUID
    """The first stage's reservation, which the request itself asked for."""
    first_stage_replicas: int


class CommandKind(StrEnum):
    """What people ask."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    PROMOTE_FULL = "promote-full"
    ABORT = "abort"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Command:
    """What a person or a program asked; answered by one pass, once."""

    id: int
    """Order of arrival."""
    kind: CommandKind
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class Inbound:
    """What handlers recorded for one deployment."""

    requests: Sequence[Request] = ()
    """Revisions above `Rollout.latest`, in rising order."""
    command: Command | None = None
    """The oldest one that is not answered."""
    answers: Mapping[UUID, Answer] = field(default_factory=dict)
    """By reservation."""
    suspension: str | None = None
    """Why the tenant may start nothing; None when it may."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that is measured, UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that one pass decides on."""

    cluster: ClusterView
    inbound: Inbound = field(default_factory=Inbound)
    measured: Mapping[int, Measurement] | None = None
    """By revision, over `window_wanted`; None when no window was due."""
