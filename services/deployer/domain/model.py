"""The state of one deployment's delivery: one record, stored with the events it caused."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from schemas.deployment import DeploymentSpec
from schemas.placement import ReserveCapacity
from schemas.resources import Allocation


class Value(BaseModel):
    """A frozen value that is stored as JSON; fields that a later release added are ignored by an older one."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


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


class Reservation(Value):
    """GPUs asked for on behalf of one stage; the scheduler's answer fills in where they are."""

    reservation_id: UUID
    """Identity, chosen by who asked."""
    stage: int
    """Stage it was asked for, from 0."""
    replicas: int
    """Replicas it is for."""
    allocations: tuple[Allocation, ...] | None = None
    """One place per replica; None until it is reserved."""


class Slot(Value):
    """The place of one pod: a replica of a reservation, and the devices that are set aside for it."""

    reservation_id: UUID
    """Reservation that holds the devices."""
    replica: int
    """Number within the reservation, from 0."""
    node: str
    """Node to run on."""
    devices: tuple[int, ...] = ()
    """Indexes of GPU devices on the node."""
    gpu_milli: int = 0
    """Thousandths taken of each device."""

    @property
    def place(self) -> tuple[UUID, int]:
        """Identity of the slot, and its place in the order of slots."""
        return self.reservation_id, self.replica


class Revision(Value):
    """One requested version of a deployment, with the GPUs that are asked for or held for it."""

    number: int
    """Number within the deployment, from 1."""
    spec: DeploymentSpec
    """What is wanted."""
    reservations: tuple[Reservation, ...]
    """All that were asked for and not released."""

    @property
    def asked_replicas(self) -> int:
        """Replicas over all reservations, reserved or not."""
        return sum(reservation.replicas for reservation in self.reservations)

    @property
    def is_reserved(self) -> bool:
        """Whether every reservation is held."""
        return all(reservation.allocations is not None for reservation in self.reservations)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """A slot for every reserved replica, in a fixed order."""
        slots = [
            Slot(reservation_id=held.reservation_id, **allocation.model_dump())
            for held in self.reservations
            for allocation in held.allocations or ()
        ]
        return tuple(sorted(slots, key=lambda slot: slot.place))

    def asks(self, deployment_id: UUID, reservation: Reservation) -> ReserveCapacity:
        """The command that asks for `reservation`."""
        return ReserveCapacity(
            reservation_id=reservation.reservation_id,
            deployment_id=deployment_id,
            revision=self.number,
            stage=reservation.stage,
            replicas=reservation.replicas,
            resources=self.spec.resources,
            pool=self.spec.pool,
            priority=self.spec.priority,
        )


class Retiree(Value):
    """A former stable revision without traffic; its pods stay until `remove_at`, for a quick way back."""

    revision: Revision
    """What it was."""
    remove_at: datetime
    """When its pods may end, UTC."""


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
    """Percent of traffic that the canary was given last."""
    extensions: int = 0
    """How often the stage's window was extended for want of data."""
    skips_analysis: bool = False
    """A person ended the present stage."""
    skips_stages: bool = False
    """A person ended all stages: the next one is the last."""
    pause: Pause | None = None
    """Set while it waits for a person."""
    reason: str = ""
    """Why it waits, was given up or is removed."""
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
        return self.phase not in RESTING or bool(self.retiring)
