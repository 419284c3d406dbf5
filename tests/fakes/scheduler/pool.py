"""Drives a pool through its domain alone, in the words given / when / then."""

from __future__ import annotations

from uuid import UUID

from schemas.base import EventData
from schemas.resources import Allocation
from services.kit.clock import HeldClock
from services.scheduler.domain.apply import apply
from services.scheduler.domain.decision import Decided, Decision, Outcome, Placed, Queued, Rejected, Released
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.waiting.turns import in_order
from tests.fakes.scheduler.builders import NOW, TEAM, entry, identity


class Pool:
    """A pool in memory: inputs go in, outcomes come out."""

    def __init__(self, *given: EventData, policy: str = "default") -> None:
        self.clock = HeldClock(NOW)
        self.snapshot = Snapshot("default", policy_named(policy))
        for data in given:
            self.when(data)

    def when(self, data: EventData, tenant_id: UUID = TEAM) -> list[Outcome]:
        """What follows from one input."""
        return apply(self.snapshot, entry(data, tenant_id), self.clock.now())

    def restart(self) -> None:
        """Go on from what a store would give back. A store keeps no order but that of nodes."""
        was = self.snapshot
        self.snapshot = Snapshot(
            was.pool,
            was.policy,
            nodes=was.cluster.nodes,
            tenants=reversed(was.tenants.values()),
            reservations=reversed(was.reservations.values()),
            waiting=reversed(list(was.queue)),
            claims=reversed(was.claims.values()),
            memory=was.chooser.memory,
            memory_at=was.memory_at,
            now=was.now,
            applied=was.applied,
            decided=was.decided,
        )
        self.snapshot.closed = set(was.closed)

    def decision(self, data: EventData, tenant_id: UUID = TEAM) -> Decision:
        """The decision about a request; there must be that one and nothing else."""
        (outcome,) = self.when(data, tenant_id)
        assert isinstance(outcome, Decided)
        return outcome.decision

    def waiting(self) -> list[UUID]:
        """Reservations that wait, in the queue's order."""
        return [waiting.reservation_id for waiting in in_order(self.snapshot)]

    def held(self, name: str) -> tuple[Allocation, ...]:
        """What the reservation of this name holds."""
        return self.snapshot.reservations[identity(name)].allocations


def placed(outcomes: list[Outcome]) -> list[UUID]:
    """Reservations that were placed, in order."""
    return [
        each.request.reservation_id
        for each in outcomes
        if isinstance(each, Decided) and isinstance(each.decision, Placed)
    ]


def summary(outcome: Outcome) -> str:
    """An outcome in a word or two, such as `queued Fragmented`."""
    if isinstance(outcome, Released):
        return f"released {outcome.gpu_milli}"
    if isinstance(outcome, Decided):
        decision = outcome.decision
        reason = f" {decision.reason}" if isinstance(decision, Queued | Rejected) else ""
        return type(decision).__name__.lower() + reason
    return type(outcome).__name__
