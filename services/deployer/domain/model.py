"""The state of one deployment's delivery: one record, stored with the events it caused."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from services.deployer.domain.revision import Revision, Value


class Phase(StrEnum):
    """Where the delivery of a revision stands."""

    SETTLED = "settled"
    """Nothing is on its way."""
    RESERVING = "reserving"
    """The stage's GPUs are asked for."""
    SURGING = "surging"
    """Pods of the stage start."""
    SHIFTING = "shifting"
    """The weight is written, not yet read back."""
    OBSERVING = "observing"
    """The weight was read back; the stage is watched."""
    DRAINING = "draining"
    """Given up: the canary's weight goes to 0, not yet read back."""
    COOLING = "cooling"
    """Without traffic, the canary's pods stay a while."""
    CLEARING = "clearing"
    """The canary's pods end."""
    LEAVING = "leaving"
    """The deployment was deleted: the route ends, then all pods."""
    REMOVED = "removed"
    """Nothing of the deployment is left."""


FORWARD = frozenset({Phase.RESERVING, Phase.SURGING, Phase.SHIFTING, Phase.OBSERVING})
"""Phases on the way to promotion; they can be paused, promoted and aborted."""
BACKWARD = frozenset({Phase.DRAINING, Phase.COOLING, Phase.CLEARING})
"""Phases on the way back to stable."""
RESTING = frozenset({Phase.SETTLED, Phase.REMOVED})
"""Phases that wait for nothing in the cluster."""


class Retiree(Value):
    """A former stable revision without traffic; its pods stay until `remove_at`, for a quick way back."""

    revision: Revision
    """What it was."""
    remove_at: datetime
    """When its pods may end, UTC."""

    def is_due(self, now: datetime) -> bool:
        """Whether its pods end now: its time is over, or another waits for the room of some of them."""
        return now >= self.remove_at or bool(self.revision.draining)


class Orphan(Value):
    """A reservation of a given-up revision that the scheduler has not answered; released when it does.

    Not earlier: the first stage's request travels on another topic than releases, so a release could overtake it,
    be taken for one of an unknown reservation, and leave the GPUs held for ever.
    """

    reservation_id: UUID
    """The reservation."""
    revision: int
    """Revision it was asked for."""
    reason: str
    """Why the revision was given up."""


class Pause(Value):
    """The rollout stays where it is."""

    reason: str
    """Why, in words."""
    since: datetime
    """When it began, UTC."""


class Rollout(Value):
    """One deployment's delivery: what holds the traffic, what is on its way, and what is on its way out."""

    deployment_id: UUID
    """The deployment."""
    tenant_id: UUID
    """Whose it is."""
    latest: int = 0
    """Highest revision that was taken up or passed over."""
    stable: Revision | None = None
    """Revision that holds the traffic; None before the first promotion."""
    canary: Revision | None = None
    """Revision on its way in, or on its way out after an abort."""
    phase: Phase = Phase.SETTLED
    """Where the delivery stands."""
    since: datetime
    """When the phase began, UTC; moved on by the length of a pause."""
    stage: int = 0
    """Stage of the canary, from 0."""
    weight: int = 0
    """Percent of traffic that the canary is given."""
    shown: int = 0
    """Percent of traffic that the canary was last told to have: the route was read back with it."""
    setbacks: int = 0
    """How often in this stage all traffic was taken from the canary because none of its replicas was ready."""
    extensions: int = 0
    """How often the stage's window was extended for want of data."""
    skips_analysis: bool = False
    """A person ended the present stage."""
    skips_stages: bool = False
    """A person ended all stages: the next one is the last."""
    pause: Pause | None = None
    """Set while it waits for a person."""
    reason: str = ""
    """Why it waits, was given up or is removed; of a settled one, what stable lacks."""
    is_mending: bool = False
    """Whether it is settled, and stable is not yet as it should be: to be looked at each pass."""
    retiring: tuple[Retiree, ...] = ()
    """Former stable revisions whose pods are still there."""
    orphans: tuple[Orphan, ...] = ()
    """Reservations to be released once they are answered."""

    @classmethod
    def fresh(cls, deployment_id: UUID, tenant_id: UUID) -> Rollout:
        """A deployment of which nothing is known yet."""
        return cls(deployment_id=deployment_id, tenant_id=tenant_id, since=datetime.fromtimestamp(0, UTC))

    @property
    def reservation_ids(self) -> tuple[UUID, ...]:
        """All reservations whose answers matter."""
        revisions = [self.stable, self.canary, *(retiree.revision for retiree in self.retiring)]
        held = [held.reservation_id for revision in revisions if revision for held in revision.reservations]
        return (*held, *(orphan.reservation_id for orphan in self.orphans))

    @property
    def weights(self) -> tuple[int, ...]:
        """Percent of traffic at each stage. A first revision has nothing to be compared with: one stage."""
        return self.canary.spec.canary.weights if self.canary and self.stable else (100,)

    @property
    def is_active(self) -> bool:
        """Whether it must be looked at each pass, and not only when something arrives."""
        return self.phase not in RESTING or bool(self.retiring) or self.is_mending
