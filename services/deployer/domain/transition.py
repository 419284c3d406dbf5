"""What one pass comes to: the next state, what is said because of it, and what the cluster is to be told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from schemas.base import EventData
from services.deployer.domain.model import Phase, Rollout
from services.deployer.domain.observation import Command
from services.deployer.domain.revision import Slot


@dataclass(frozen=True, slots=True)
class Said:
    """An event or command, and the revision it is said about."""

    revision: int
    data: EventData


@dataclass(frozen=True, slots=True)
class Change:
    """A step of the state."""

    state: Rollout
    says: tuple[Said, ...] = ()
    """Emitted with the state, in one transaction, in this order."""
    dropped: str | None = None
    """Why the command means nothing now; None when it was carried out."""

    def saying(self, *more: Said) -> Change:
        """The same step with more to say."""
        return Change(self.state, self.says + more, self.dropped)


@dataclass(frozen=True, slots=True)
class ApplyWorkload:
    """Run the revision on exactly these slots."""

    revision: int
    slots: tuple[Slot, ...]
    if_version: int
    """Refused when the workload has changed since; 0 = when it exists."""


@dataclass(frozen=True, slots=True)
class DeleteWorkload:
    """End all pods of a revision; a revision that was given up never comes back."""

    revision: int


@dataclass(frozen=True, slots=True)
class SetRoute:
    """Split the traffic so; no weights = no route."""

    weights: tuple[tuple[int, int], ...]
    """Revision and percent, by revision."""
    if_generation: int
    """Refused when the route has changed since."""


Action = ApplyWorkload | DeleteWorkload | SetRoute


@dataclass(frozen=True, slots=True)
class Transition:
    """The outcome of a pass. Actions are idempotent and done after the state is stored."""

    state: Rollout
    actions: tuple[Action, ...]
    events: tuple[Said, ...]
    answered: Command | None = None
    """The command that this pass used up."""
    dropped: str | None = None
    """Why the command means nothing now; None when it was carried out."""

    def is_step_from(self, before: Rollout) -> bool:
        """Whether anything was decided; without a step there is nothing to store."""
        return self.answered is not None or self.state != before


@dataclass(frozen=True, slots=True)
class Limits:
    """The times that bound a rollout, in seconds."""

    scale_down_delay_seconds: float = 30.0
    """How long pods without traffic stay."""
    capacity_deadline_seconds: float = 600.0
    """How long a later stage waits for GPUs (the first waits as long as its spec says), and how long it is until what
    was refused is asked for again."""
    progress_deadline_seconds: float = 600.0
    """How long a stage waits for its pods and its weight, and a drain for somebody else to take the traffic."""
    max_setbacks: int = 1
    """How often in a stage none of the canary's replicas may be ready under traffic before it is given up at once."""
    max_extensions: int = 3
    """How often a window without enough data is extended before a person is asked."""


def enter(state: Rollout, phase: Phase, now: datetime, **changes: Any) -> Rollout:
    """`state` at the beginning of `phase`."""
    return state.model_copy(update={"phase": phase, "since": now, **changes})


def has_passed(since: datetime, seconds: float, now: datetime) -> bool:
    """Whether `seconds` have gone by."""
    return now - since >= timedelta(seconds=seconds)
