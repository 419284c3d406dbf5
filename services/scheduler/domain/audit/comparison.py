"""Two series of a pool's decisions side by side: do they agree, and if not, what became of whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from schemas.placement import (
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    PlacementEvent,
    PreemptionRequested,
)
from schemas.resources import Allocation


@dataclass(slots=True)
class Fate:
    """What became of one request."""

    deployment_id: UUID
    asked_at: datetime
    """When it was first decided about, UTC."""
    outcome: str = "queued"
    """`placed`, `queued` or `rejected`: the last that was decided."""
    placed_at: datetime | None = None
    """When it first had its places, UTC."""
    places: tuple[Allocation, ...] = ()
    """Its first places."""

    @property
    def waited_seconds(self) -> float | None:
        """From the first decision to its places; None while it has none."""
        return None if self.placed_at is None else (self.placed_at - self.asked_at).total_seconds()


@dataclass(slots=True)
class Series:
    """The decisions of one run, in order."""

    fates: dict[UUID, Fate] = field(default_factory=dict)
    """By reservation."""
    peak_gpu_milli: int = 0
    """Most thousandths of a GPU that were reserved at one time."""
    drains: int = 0
    """Requests to drain."""
    _held: dict[UUID, int] = field(default_factory=dict)
    _sum: int = 0

    def add(self, event: PlacementEvent) -> None:
        """The next decision."""
        if isinstance(event, PreemptionRequested):
            self.drains += 1
        elif isinstance(event, CapacityReleased):
            self._hold(event.reservation_id, 0)
        elif isinstance(event, CapacityReserved | CapacityQueued | CapacityRejected):
            self._decided(event)

    def _decided(self, event: CapacityReserved | CapacityQueued | CapacityRejected) -> None:
        at = event.decision.decided_at
        fate = self.fates.setdefault(event.reservation_id, Fate(event.deployment_id, at))
        if isinstance(event, CapacityReserved):
            fate.outcome = "placed"
            self._hold(event.reservation_id, event.gpu_milli)
            if fate.placed_at is None:
                fate.placed_at, fate.places = at, event.allocations
        elif fate.placed_at is None:
            fate.outcome = "queued" if isinstance(event, CapacityQueued) else "rejected"

    def _hold(self, reservation_id: UUID, gpu_milli: int) -> None:
        self._sum += gpu_milli - self._held.get(reservation_id, 0)
        self._held[reservation_id] = gpu_milli
        self.peak_gpu_milli = max(self.peak_gpu_milli, self._sum)


@dataclass(frozen=True, slots=True)
class Summary:
    """One run in numbers."""

    requests: int
    placed: int
    """That had their places at some time."""
    placed_at_once: int
    """Of these, without waiting."""
    rejected: int
    never_placed: int
    """That waited to the end, or to their release."""
    mean_wait_seconds: float
    """Of those that were placed."""
    longest_wait_seconds: float
    peak_gpu_milli: int
    drains: int


def summary(series: Series) -> Summary:
    """The run in numbers."""
    waits = [fate.waited_seconds for fate in series.fates.values() if fate.waited_seconds is not None]
    outcomes = [fate.outcome for fate in series.fates.values() if fate.placed_at is None]
    return Summary(
        requests=len(series.fates),
        placed=len(waits),
        placed_at_once=waits.count(0.0),
        rejected=outcomes.count("rejected"),
        never_placed=outcomes.count("queued"),
        mean_wait_seconds=sum(waits) / len(waits) if waits else 0.0,
        longest_wait_seconds=max(waits, default=0.0),
        peak_gpu_milli=series.peak_gpu_milli,
        drains=series.drains,
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """A request that fared differently."""

    reservation_id: UUID
    deployment_id: UUID
    recorded: Fate
    other: Fate


def differences(recorded: Series, other: Series) -> Iterable[Difference]:
    """Requests with another outcome, other places or another wait, in the order in which they were asked for."""
    for reservation_id, fate in recorded.fates.items():
        theirs = other.fates.get(reservation_id)
        if theirs is not None and theirs != fate:
            yield Difference(reservation_id, fate.deployment_id, fate, theirs)
