"""What one pass sees: read fresh each time, never remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from schemas.deployment import DeploymentSpec
from schemas.resources import Allocation
from schemas.rollout import Measurement
from services.deployer.domain.revision import ReplicaKey, Revision, Slot


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod that exists, ending ones included."""

    slot: Slot
    """Where it was put."""
    is_ready: bool
    """Whether it answers requests, or, in a gang, does its part of it."""


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """What the cluster shows of one revision's pods."""

    revision: int
    version: int
    """Grows with each change of what is wanted; a write that names an older one is refused."""
    slots: tuple[Slot, ...]
    """Places that were asked for, in the order of `Revision.slots`."""
    pods: tuple[PodView, ...]
    """Pods that exist, those that start or end included."""

    def ready_among(self, slots: Iterable[Slot]) -> int:
        """Replicas with places among `slots` of which every pod is ready there: a gang is ready as a whole."""
        up = {pod.slot for pod in self.pods if pod.is_ready}
        is_up: dict[ReplicaKey, bool] = {}
        for slot in slots:
            is_up[slot.of] = is_up.get(slot.of, True) and slot in up
        return sum(is_up.values())

    def occupies(self, replica: ReplicaKey) -> bool:
        """Whether a pod of the replica is there, or may be made."""
        return any(pod.slot.of == replica for pod in self.pods) or any(slot.of == replica for slot in self.slots)


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
    wanted_replicas: int | None = None
    """Replicas that the cluster's autoscaler wants of the deployment; None when it wants nothing."""

    def ready(self, revision: int) -> int:
        """Replicas of `revision` that are ready on the places that were asked for."""
        view = self.workloads.get(revision)
        return view.ready_among(view.slots) if view else 0

    def serving(self, revision: Revision) -> int:
        """Replicas of `revision` that are ready on places that they keep."""
        view = self.workloads.get(revision.number)
        return view.ready_among(revision.slots) if view else 0

    def is_gone(self, revision: int) -> bool:
        """Whether no pod of `revision` is left."""
        return revision not in self.workloads

    def carries(self, revision: int) -> bool:
        """Whether `revision` has, or may still have, traffic."""
        return revision in self.route.weights or revision in self.route.applied


class AnswerKind(StrEnum):
    """Where a reservation stands with the scheduler."""

    QUEUED = "queued"
    """All of it, or the replicas that were lost, wait."""
    RESERVED = "reserved"
    """Every replica has its place."""
    LOST = "lost"
    """Some replicas lost their place, and are placed again as soon as there is room."""
    REJECTED = "rejected"
    """What has no place gets none."""
    RELEASED = "released"
    """Nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Preemption:
    """A replica that the scheduler asks to drain."""

    replica: int
    """Number within the reservation."""
    claimant: UUID
    """The reservation that waits for the room."""
    reason: str
    """Why, in words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the scheduler has said about a reservation up to now."""

    kind: AnswerKind
    reason: str = ""
    """Why it waits, was lost, refused or released, in words."""
    allocations: tuple[Allocation, ...] = ()
    """Where the pods of those replicas go that have a place."""
    preemptions: tuple[Preemption, ...] = ()
    """Replicas of those that are asked to drain."""

    @property
    def is_final(self) -> bool:
        """Whether no more replicas will be placed than are."""
        return self.kind in (AnswerKind.REJECTED, AnswerKind.RELEASED)

    @property
    def holds(self) -> bool:
        """Whether something is to be given back: places, or one in the queue."""
        return bool(self.allocations) or not self.is_final


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
