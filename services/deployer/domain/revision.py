"""One version of a deployment, and the places that are asked for or held for its pods."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from schemas.deployment import DeploymentSpec
from schemas.placement import ReserveCapacity
from schemas.resources import Allocation


class Value(BaseModel):
    """A frozen value that is stored as JSON; fields that a later release added are ignored by an older one."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Drain(Value):
    """One replica is to leave its place: its traffic first, then its pods, then the place is given back."""

    replica: int
    """Number within the reservation."""
    claimant: UUID | None = None
    """Reservation that waits for the room; None when nobody does and it is not wanted any more."""
    reason: str
    """Why, in words."""
    end_at: datetime
    """When its pods end even if no other of the revision is ready to take the traffic, UTC."""


class Reservation(Value):
    """GPUs asked for on behalf of one stage; the scheduler's answers fill in where they are."""

    reservation_id: UUID
    """Identity, chosen by who asked."""
    stage: int
    """Stage it was asked for, from 0."""
    replicas: int
    """Replicas it was asked for."""
    allocations: tuple[Allocation, ...] | None = None
    """A place for each pod, without those that were lost; None until it is reserved for the first time."""
    draining: tuple[Drain, ...] = ()
    """Replicas that are to leave, with a place still."""
    gone: tuple[int, ...] = ()
    """Replicas that do not come back: given back after a drain, or refused a new place after a loss."""
    is_elastic: bool = False
    """Whether it is beyond the minimum of the deployment."""

    @property
    def due(self) -> frozenset[int]:
        """Replicas that are held or waited for."""
        return frozenset(range(self.replicas)).difference(self.gone)

    @property
    def missing(self) -> frozenset[int]:
        """Replicas that are waited for: not placed yet, or placed again after a loss."""
        return self.due - {allocation.replica for allocation in self.allocations or ()}

    @property
    def kept(self) -> frozenset[int]:
        """Replicas that have a place and keep it."""
        placed = frozenset(allocation.replica for allocation in self.allocations or ())
        return placed.difference(drain.replica for drain in self.draining)

    def slots(self, *, draining: bool) -> Iterator[Slot]:
        """The places that stay, or those that are about to be left."""
        leaving = {drain.replica for drain in self.draining}
        for allocation in self.allocations or ():
            if (allocation.replica in leaving) is draining:
                yield Slot(reservation_id=self.reservation_id, **allocation.model_dump())


ReplicaKey = tuple[UUID, int]
"""Reservation, and number within it."""


class Slot(Value):
    """The place of one pod: a worker of a replica of a reservation, and the devices that are set aside for it."""

    reservation_id: UUID
    """Reservation that holds the devices."""
    replica: int
    """Number within the reservation, from 0."""
    worker: int = 0
    """Number of the pod within its replica, from 0."""
    node: str
    """Node to run on."""
    devices: tuple[int, ...] = ()
    """Indexes of GPU devices on the node."""
    gpu_milli: int = 0
    """Thousandths taken of each device."""
    mig_profile: str = ""
    """Profile of the slice of the device; empty when the device is not cut."""
    mig_start: int | None = None
    """Memory slice at which the slice begins; None when the device is not cut."""

    @property
    def place(self) -> tuple[UUID, int, int]:
        """Identity of the slot, and its place in the order of slots."""
        return self.reservation_id, self.replica, self.worker

    @property
    def of(self) -> ReplicaKey:
        """The replica that it is a part of."""
        return self.reservation_id, self.replica


def in_order(slots: Iterator[Slot]) -> tuple[Slot, ...]:
    """`slots` in the order that every part of the deployer keeps to."""
    return tuple(sorted(slots, key=lambda slot: slot.place))


class Revision(Value):
    """One requested version of a deployment, with the GPUs that are asked for or held for it."""

    number: int
    """Number within the deployment, from 1."""
    spec: DeploymentSpec
    """What is wanted."""
    reservations: tuple[Reservation, ...]
    """All that were asked for and not released."""
    asks: int = 0
    """How often GPUs were asked for outside of a rollout; it numbers those reservations."""
    ask_at: datetime | None = None
    """Before it, UTC, nothing that was refused is asked for again; None = nothing was."""
    grow_at: datetime | None = None
    """The same for replicas beyond the minimum."""

    @property
    def asked_replicas(self) -> int:
        """Replicas over all reservations, reserved or not."""
        return sum(len(reservation.due) for reservation in self.reservations)

    @property
    def missing_replicas(self) -> int:
        """How many of those have no place now."""
        return sum(len(reservation.missing) for reservation in self.reservations)

    @property
    def is_reserved(self) -> bool:
        """Whether everything that was asked for is held."""
        return not self.missing_replicas

    @property
    def draining(self) -> tuple[Drain, ...]:
        """Replicas that are to leave, over all reservations."""
        return tuple(drain for reservation in self.reservations for drain in reservation.draining)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """A slot for every pod that has a place and keeps it, in a fixed order."""
        return in_order(slot for held in self.reservations for slot in held.slots(draining=False))

    @property
    def leaving_slots(self) -> tuple[Slot, ...]:
        """A slot for every pod that has a place and is to leave it, in a fixed order."""
        return in_order(slot for held in self.reservations for slot in held.slots(draining=True))

    @property
    def kept_replicas(self) -> int:
        """Replicas that have a place and keep it."""
        return sum(len(reservation.kept) for reservation in self.reservations)

    def with_reservations(self, *reservations: Reservation) -> Revision:
        """The same with other reservations; itself when they are the same."""
        if reservations == self.reservations:
            return self
        return self.model_copy(update={"reservations": reservations})

    def asks_for(self, deployment_id: UUID, reservation: Reservation, *, is_surge: bool) -> ReserveCapacity:
        """The command that asks for `reservation`.

        How long a tenant lets its first GPUs be waited for holds for stage 0 alone; later ones have the deployer's
        deadline, which a pause stops and the scheduler's would not.
        """
        spec = self.spec
        return ReserveCapacity(
            reservation_id=reservation.reservation_id,
            deployment_id=deployment_id,
            revision=self.number,
            stage=reservation.stage,
            replicas=reservation.replicas,
            resources=spec.resources,
            pool=spec.pool,
            priority=spec.priority,
            preemptible=spec.preemptible,
            is_surge=is_surge,
            is_elastic=reservation.is_elastic,
            start_within_seconds=spec.start_within_seconds if reservation.stage == 0 and not self.asks else None,
            expected_seconds=spec.expected_seconds,
        )
