"""The read model of one deployment: a fold over its events, and the state that people see.

Events of one topic arrive in order, those of different topics do not: a rollout's first event may be folded before the
request that caused it. So each topic fills fields of its own, and the state is derived from all of them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from schemas.base import ContractModel
from schemas.deployment import DeploymentSpec, Violation
from schemas.placement import CapacityQueued
from services.ingest_api.domain.affected import Affected


class State(StrEnum):
    """Where a deployment stands."""

    REQUESTED = "requested"
    """Admitted; nobody has decided about GPUs yet."""
    QUEUED = "queued"
    """Waits for GPUs; the reason is in `waiting`."""
    ROLLING_OUT = "rolling_out"
    """Traffic is on its way to the newest revision."""
    PAUSED = "paused"
    """The rollout waits for a person."""
    SERVING = "serving"
    """The newest revision has all traffic."""
    ROLLING_BACK = "rolling_back"
    """The rollout was given up; traffic is on its way back."""
    ROLLED_BACK = "rolled_back"
    """The newest revision failed; the stable one, if there is one, has all traffic."""
    REJECTED = "rejected"
    """The newest revision can never run; the reason is in `refusal`."""
    REMOVING = "removing"
    """Deleted; traffic and pods are on their way out."""
    REMOVED = "removed"
    """Gone."""


FAILED = (State.ROLLED_BACK, State.REJECTED)
"""States in which the newest revision is not what the deployment heads for."""
WITHOUT_ROLLOUT = (State.SERVING, State.ROLLED_BACK, State.REJECTED, State.REMOVING, State.REMOVED)
"""States in which there is nothing to pause, promote or abort."""


class Phase(StrEnum):
    """How far a rollout has come."""

    PROGRESSING = "progressing"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    REMOVED = "removed"


class Waiting(ContractModel):
    """A reservation that waits for GPUs."""

    reservation_id: UUID
    position: int
    """Place in the pool's queue when it was queued."""
    reason: str
    detail: str
    estimated_start: datetime | None = None
    """When it should start, as far as the ends of what runs are known."""

    @classmethod
    def of(cls, data: CapacityQueued) -> Waiting:
        """As the scheduler says."""
        return cls(
            reservation_id=data.reservation_id,
            position=data.position,
            reason=data.reason,
            detail=data.detail,
            estimated_start=data.estimated_start,
        )


class Refusal(ContractModel):
    """Why a request or a reservation was refused."""

    code: str
    detail: str
    reservation_id: UUID | None = None
    """The reservation that was refused; None when the request itself was."""
    violations: tuple[Violation, ...] = ()


class Analysis(ContractModel):
    """The latest verdict."""

    stage: int
    verdict: str
    reason: str


class Rollout(ContractModel):
    """The newest rollout."""

    revision: int
    version: str | None = None
    phase: Phase = Phase.PROGRESSING
    reason: str | None = None
    """Why it is paused, aborted or rolled back."""
    weights: tuple[int, ...] = ()
    """Percent of traffic at each stage."""
    stage: int | None = None
    """Stage that was entered last; None before the first."""
    target_weight: int | None = None
    """Percent of traffic that the stage aims at."""
    weight: int = 0
    """Percent of traffic that the route was last read back with."""
    ready_replicas: int = 0
    analysis: Analysis | None = None


class DeploymentView(ContractModel):
    """Everything that GET shows of a deployment, but for its reservations and history."""

    deployment_id: UUID
    name: str = ""
    revision: int = 0
    """Newest admitted revision; 0 when there is none."""
    spec: DeploymentSpec | None = None
    """What that revision asks for."""
    reservation_id: UUID | None = None
    """Reservation of its first stage."""
    stable_revision: int | None = None
    """Revision that was promoted last."""
    stable_version: str | None = None
    waiting: Waiting | None = None
    """The reservation that was queued last and has no answer yet, of whichever stage."""
    refusal: Refusal | None = None
    """The refusal that came last, perhaps of an older revision."""
    lost: tuple[Affected, ...] = ()
    """Replicas whose GPUs went away and that have no others yet."""
    draining: tuple[Affected, ...] = ()
    """Replicas that are asked to make room for others."""
    is_cancelled: bool = False
    rollout: Rollout | None = None

    @property
    def state(self) -> State:
        """Where it stands."""
        if self.rollout is not None and self.rollout.phase is Phase.REMOVED:
            return State.REMOVED
        if self.is_cancelled:
            return State.REMOVING
        if self.rollout is not None and self.rollout.revision >= self.revision:
            return _rollout_state(self, self.rollout)
        return _waiting_state(self)


_STATES = {
    Phase.PAUSED: State.PAUSED,
    Phase.PROMOTED: State.SERVING,
    Phase.ABORTED: State.ROLLING_BACK,
    Phase.ROLLED_BACK: State.ROLLED_BACK,
}


def _rollout_state(view: DeploymentView, rollout: Rollout) -> State:
    if _is_refused(view) and rollout.stage is None and rollout.phase is not Phase.PROMOTED:
        return State.REJECTED  # it was given up before it began, for want of GPUs that it will never get
    if rollout.phase in _STATES:
        return _STATES[rollout.phase]
    return _waiting_state(view, otherwise=State.ROLLING_OUT) if rollout.stage is None else State.ROLLING_OUT


def _waiting_state(view: DeploymentView, otherwise: State = State.REQUESTED) -> State:
    """What the scheduler said counts for the reservation that is asked for now; it may have come before the request."""
    if _is_refused(view):
        return State.REJECTED
    is_waiting = view.waiting is not None and view.waiting.reservation_id == view.reservation_id
    return State.QUEUED if is_waiting else otherwise


def _is_refused(view: DeploymentView) -> bool:
    """Whether the refusal is about what is asked for now, and not about an older revision."""
    return view.refusal is not None and view.refusal.reservation_id == view.reservation_id
