"""A scheduler in hand: it answers as it is told, and notices what must never be asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from schemas.base import EventData
from schemas.placement import (
    CapacityLost,
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    DecisionRecord,
    LossReason,
    PlacementEvent,
    PreemptionReason,
    PreemptionRequested,
    PreemptionWithdrawn,
    QueueReason,
    ReleaseCapacity,
    ReserveCapacity,
)
from schemas.resources import Allocation
from services.deployer.domain.revision import Slot
from tests.fakes.deployer.cluster import InMemoryCluster
from tests.fakes.deployer.stores import InMemoryRolloutStore

NAMES = UUID("0b0f7a52-8f0f-5a3e-9b63-2f6b9f7d3c11")
DEPLOYMENT = uuid5(NAMES, "deployment")
CLAIMANT = uuid5(NAMES, "claimant")
DECISION = DecisionRecord(
    pool="default",
    number=1,
    policy="test",
    policy_version="1",
    decided_at=datetime(2026, 3, 1, tzinfo=UTC),
    input_id="i",
    input_position="t/0/1",
)


@dataclass
class Claim:
    """One reservation as the scheduler has it."""

    replicas: int
    workers: int
    places: dict[int, tuple[Allocation, ...]] = field(default_factory=dict)
    """By replica."""
    draining: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    """Replicas that were given back."""
    is_over: bool = False

    @property
    def due(self) -> set[int]:
        """Replicas that are held or wait."""
        return set() if self.is_over else set(range(self.replicas)) - self.gone

    @property
    def waiting(self) -> set[int]:
        """Replicas without a place."""
        return self.due - self.places.keys()


def event(kind: type[PlacementEvent], reservation: UUID, **fields: Any) -> PlacementEvent:
    """Something that the scheduler says about a reservation of the one deployment."""
    return kind(reservation_id=reservation, deployment_id=DEPLOYMENT, decision=DECISION, **fields)


class WorldScheduler:
    """Gives every pod a device that nobody has had before."""

    def __init__(self, store: InMemoryRolloutStore, cluster: InMemoryCluster) -> None:
        self.answers_at_once = True
        self.claims: dict[UUID, Claim] = {}
        self.released: Counter[UUID] = Counter()
        """How often each reservation was ended by the deployer."""
        self.given_back: list[tuple[UUID, tuple[int, ...]]] = []
        """Parts of reservations that were released, in order."""
        self.workers = 1
        """Pods of one replica of what is asked for from now on."""
        self.left: set[Slot] = set()
        """Places that were lost: pods may be there still, until the deployer has heard of it."""
        self._store = store
        self._cluster = cluster
        self._heard = 0
        self._devices = 0

    def hear(self) -> None:
        """Take what the deployer said since the last time."""
        fresh, self._heard = self._store.said[self._heard :], len(self._store.said)
        for data, _ in fresh:
            self._take(data)

    def ask(self, reservation: UUID, replicas: int) -> None:
        """A reservation is asked for."""
        self.claims[reservation] = Claim(replicas, self.workers)
        if self.answers_at_once:
            self.reserve(reservation)

    def open(self) -> list[UUID]:
        """Reservations of which something waits for a place."""
        return [found for found, claim in self.claims.items() if claim.waiting]

    def holding(self) -> list[UUID]:
        """Reservations of which something has a place."""
        return [found for found, claim in self.claims.items() if not claim.is_over and claim.places]

    def reserve(self, reservation: UUID) -> None:
        """Give whatever waits a place, and tell all places."""
        claim = self.claims[reservation]
        for replica in claim.waiting:
            claim.places[replica] = tuple(self._place(replica, worker) for worker in range(claim.workers))
        places = tuple(place for _, found in sorted(claim.places.items()) for place in found)
        self._say(event(CapacityReserved, reservation, revision=1, stage=0, allocations=places, gpu_milli=1000))

    def queue(self, reservation: UUID, reason: QueueReason, detail: str) -> None:
        """It has to wait."""
        self._say(event(CapacityQueued, reservation, position=1, reason=reason, detail=detail))

    def reject(self, reservation: UUID, reason: QueueReason, detail: str) -> None:
        """What waits gets no place; what has one keeps it."""
        claim = self.claims[reservation]
        claim.gone |= claim.waiting
        claim.is_over = not claim.places
        self._say(event(CapacityRejected, reservation, reason=reason, detail=detail))

    def lose(self, reservation: UUID, replicas: Iterable[int]) -> None:
        """A device under these replicas failed; those that have no place are none of them."""
        claim = self.claims[reservation]
        lost = tuple(sorted(set(replicas) & claim.places.keys()))
        for replica in lost:
            self.left |= {Slot(reservation_id=reservation, **place.model_dump()) for place in claim.places.pop(replica)}
        claim.draining -= set(lost)
        if lost:
            why = {"reason": LossReason.DEVICE_FAILED, "detail": "n1/3 failed"}
            self._say(event(CapacityLost, reservation, replicas=lost, gpu_milli=1000, **why))

    def preempt(self, reservation: UUID, replicas: Iterable[int], claimant: UUID = CLAIMANT) -> None:
        """Ask these replicas to drain; those that have no place are none of them."""
        claim = self.claims[reservation]
        asked = tuple(sorted((set(replicas) & claim.places.keys()) - claim.draining))
        claim.draining |= set(asked)
        if asked:
            why = {"reason": PreemptionReason.PRIORITY, "detail": "8 GPUs for chat-large"}
            fields = {"replicas": asked, "gpu_milli": 1000, "claimant": claimant, **why}
            self._say(event(PreemptionRequested, reservation, **fields))

    def withdraw(self, reservation: UUID, claimant: UUID = CLAIMANT) -> None:
        """Whatever has not drained may stay."""
        claim = self.claims[reservation]
        spared, claim.draining = tuple(sorted(claim.draining)), set()
        if spared:
            fields = {"replicas": spared, "claimant": claimant, "reason": "room elsewhere"}
            self._say(event(PreemptionWithdrawn, reservation, **fields))

    def end(self, reservation: UUID) -> None:
        """Take everything back unasked, as an operator would."""
        claim = self.claims[reservation]
        self.lose(reservation, set(claim.places))
        claim.is_over = True
        self._say(event(CapacityReleased, reservation, gpu_milli=0, reason="by hand"))

    def is_held(self, slot: Slot) -> bool:
        """Whether a pod may be there: the place is held for it, or was lost under it."""
        claim = self.claims.get(slot.reservation_id)
        places = claim.places.get(slot.replica, ()) if claim and not claim.is_over else ()
        return slot in self.left or slot in {
            Slot(reservation_id=slot.reservation_id, **place.model_dump()) for place in places
        }

    def _take(self, data: EventData) -> None:
        if isinstance(data, ReserveCapacity):
            assert data.reservation_id not in self.claims, "asked twice"
            self.ask(data.reservation_id, data.replicas)
        elif isinstance(data, ReleaseCapacity) and data.replicas:
            self._take_part_back(data.reservation_id, data.replicas)
        elif isinstance(data, ReleaseCapacity):
            self._take_back(data.reservation_id)

    def _take_part_back(self, reservation: UUID, replicas: tuple[int, ...]) -> None:
        claim = self.claims[reservation]
        assert set(replicas) < claim.due, "a part is released that is not there, or that is all"
        self._check_empty(reservation, replicas)
        self.given_back.append((reservation, replicas))
        claim.gone |= set(replicas)
        claim.draining -= set(replicas)
        for replica in replicas:
            claim.places.pop(replica, None)
        self._say(event(CapacityReleased, reservation, gpu_milli=1000, reason="as asked", replicas=replicas))

    def _take_back(self, reservation: UUID) -> None:
        self.released[reservation] += 1
        claim = self.claims[reservation]
        assert self.released[reservation] == 1, "released twice"
        self._check_empty(reservation, claim.due)
        claim.is_over = True
        claim.places.clear()
        claim.draining.clear()
        self._say(event(CapacityReleased, reservation, gpu_milli=1000, reason="as asked"))

    def _check_empty(self, reservation: UUID, replicas: Collection[int]) -> None:
        alive = [slot for slot in self._cluster.live_slots() if slot.reservation_id == reservation]
        assert not any(slot.replica in replicas for slot in alive), "released under a live pod"

    def _place(self, replica: int, worker: int) -> Allocation:
        self._devices += 1
        return Allocation(replica=replica, worker=worker, node="n1", devices=(self._devices,), gpu_milli=1000)

    def _say(self, said: PlacementEvent) -> None:
        self._store.note_answer(said)
