"""Rollouts: what people ask of a running rollout, and what was observed of it. Key: the deployment."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from schemas.base import ContractModel, EventData, Name, Reason


class Verdict(StrEnum):
    """The outcome of one analysis."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    FAIL = "Fail"
    NO_DATA = "NoData"


class RolloutMessage(EventData):
    """Base of commands and events about one revision of a deployment."""

    deployment_id: UUID
    """The deployment."""

    @property
    def key(self) -> str:
        """The deployment id."""
        return str(self.deployment_id)


class RolloutCommand(RolloutMessage):
    """Base of what people ask; the actor stands in the envelope."""

    topic: ClassVar[str] = "taxiway.rollout.commands.v1"

    reason: Reason
    """Why, in the words of who asked."""


class PauseRollout(RolloutCommand):
    """Stay at the present stage until resumed."""

    type: ClassVar[str] = "taxiway.rollout.pause.v1"


class ResumeRollout(RolloutCommand):
    """Go on after a pause."""

    type: ClassVar[str] = "taxiway.rollout.resume.v1"


class PromoteRollout(RolloutCommand):
    """End the present stage now; with `full`, skip all remaining stages and analyses."""

    type: ClassVar[str] = "taxiway.rollout.promote.v1"

    full: bool = False
    """Skip all remaining stages."""


class AbortRollout(RolloutCommand):
    """Give up: traffic back to stable, canary away."""

    type: ClassVar[str] = "taxiway.rollout.abort.v1"


class RolloutEvent(RolloutMessage):
    """Base of what was observed of one revision's rollout."""

    topic: ClassVar[str] = "taxiway.rollout.events.v1"

    revision: Annotated[int, Field(ge=1)]
    """The revision that is rolled out."""


class RolloutStarted(RolloutEvent):
    """The deployer took the revision up."""

    type: ClassVar[str] = "taxiway.rollout.started.v1"

    version: Name
    """Version that is rolled out."""
    stable_revision: int | None = None
    """Revision that holds the traffic now; None for the first."""
    weights: tuple[int, ...]
    """Percent of traffic at each stage."""


class StageEntered(RolloutEvent):
    """GPUs are reserved, pods are ready: the stage begins."""

    type: ClassVar[str] = "taxiway.rollout.stage-entered.v1"

    stage: Annotated[int, Field(ge=0)]
    """Stage, from 0."""
    weight: Annotated[int, Field(ge=0, le=100)]
    """Percent of traffic that the stage aims at."""
    ready_replicas: Annotated[int, Field(ge=0)]
    """Replicas of the new version that are ready."""


class TrafficShifted(RolloutEvent):
    """The route was read back with this weight."""

    type: ClassVar[str] = "taxiway.rollout.traffic-shifted.v1"

    weight: Annotated[int, Field(ge=0, le=100)]
    """Percent of traffic that the route gives the new version."""


class Measurement(ContractModel):
    """What one side of the traffic looked like over the window."""

    requests: Annotated[int, Field(ge=0)]
    """Requests seen."""
    errors: Annotated[int, Field(ge=0)]
    """Requests that failed."""
    latency_p99_ms: Annotated[float, Field(ge=0)]
    """99th percentile of the latency, in ms; 0 without requests."""


class AnalysisCompleted(RolloutEvent):
    """A stage's analysis came to a verdict."""

    type: ClassVar[str] = "taxiway.rollout.analysis-completed.v1"

    stage: Annotated[int, Field(ge=0)]
    """Stage that was analysed."""
    verdict: Verdict
    """The outcome."""
    reason: Reason
    """Which gate decided, with numbers."""
    canary: Measurement
    """The new version over the window."""
    stable: Measurement | None = None
    """The stable version over the same window; None for a first revision."""


class RolloutPaused(RolloutEvent):
    """The rollout waits for a person."""

    type: ClassVar[str] = "taxiway.rollout.paused.v1"

    reason: Reason
    """Why."""


class RolloutResumed(RolloutEvent):
    """The rollout goes on."""

    type: ClassVar[str] = "taxiway.rollout.resumed.v1"

    reason: Reason
    """Why."""


class RolloutPromoted(RolloutEvent):
    """The new version has all traffic and is the stable one now."""

    type: ClassVar[str] = "taxiway.rollout.promoted.v1"

    version: Name
    """Version that is stable now."""


class RolloutAborted(RolloutEvent):
    """The rollout was given up; traffic is on its way back to stable."""

    type: ClassVar[str] = "taxiway.rollout.aborted.v1"

    reason: Reason
    """Why: a failed analysis, a person, a deadline, refused capacity."""


class RolloutRolledBack(RolloutEvent):
    """Traffic was read back at stable, the canary's pods are gone, its release was asked for."""

    type: ClassVar[str] = "taxiway.rollout.rolled-back.v1"

    reason: Reason
    """Why it was aborted."""


class RolloutRemoved(RolloutEvent):
    """The deployment was deleted: no traffic, no pods, the release of its GPUs was asked for."""

    type: ClassVar[str] = "taxiway.rollout.removed.v1"

    reason: Reason
    """Why it was deleted."""
