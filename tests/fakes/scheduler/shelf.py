"""What a store has of a pool, kept from what is said to have changed alone; a restart reads it."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from services.scheduler.domain.decision import NodeChanged, Outcome, TenantChanged
from services.scheduler.domain.model import Claim, Node, Request, Reservation, Tenant, Waiting
from services.scheduler.domain.nodes.shape import seen_of
from services.scheduler.domain.pool.snapshot import Snapshot


class Shelf:
    """The rows of one pool."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        """By rank."""
        self.tenants: dict[UUID, Tenant] = {}
        self.reserved: dict[UUID, Reservation] = {}
        self.waiting: dict[UUID, Waiting] = {}
        self.claims: dict[UUID, Claim] = {}
        self.requests: dict[UUID, Request] = {}
        self.closed: set[UUID] = set()

    def keep(self, snapshot: Snapshot, outcomes: Iterable[Outcome]) -> None:
        """Store what the snapshot says that it touched, and what the outcomes say that changed."""
        for outcome in outcomes:
            if isinstance(outcome, NodeChanged):
                self.nodes[outcome.rank] = outcome.node
            elif isinstance(outcome, TenantChanged):
                self.tenants[outcome.tenant.tenant_id] = outcome.tenant
        for reservation_id, touched in snapshot.touched.items():
            self._keep(snapshot, reservation_id, touched.request)
        for claimant in snapshot.claims_touched:
            self.claims.pop(claimant, None)
            if claimant in snapshot.claims:
                self.claims[claimant] = snapshot.claims[claimant]
        snapshot.settled()

    def load(self, old: Snapshot) -> Snapshot:
        """The pool as a new owner finds it. Only the place in the log and the policy's memory come from the old one;
        rows come in an order that has nothing to do with theirs."""
        requests = sorted(self.requests.values(), key=lambda request: request.arrival)
        fresh = Snapshot(
            old.pool,
            old.policy,
            nodes=[node for _, node in sorted(self.nodes.items())],
            tenants=[self.tenants[each] for each in sorted(self.tenants, reverse=True)],
            reservations=[self.reserved[each] for each in sorted(self.reserved)],
            waiting=[self.waiting[each] for each in sorted(self.waiting)],
            claims=[self.claims[each] for each in sorted(self.claims, reverse=True)],
            memory=old.chooser.memory,
            memory_at=old.memory_at,
            recent=[
                seen_of(each.arrival, each.resources, each.replicas)
                for each in requests
                if each.arrival > old.memory_at
            ],
            now=old.now,
            applied=old.applied,
            decided=old.decided,
        )
        fresh.closed |= self.closed
        return fresh

    def _keep(self, snapshot: Snapshot, reservation_id: UUID, request: Request | None) -> None:
        held, waiting = snapshot.reservations.get(reservation_id), snapshot.queue.find(reservation_id)
        self.reserved.pop(reservation_id, None)
        self.waiting.pop(reservation_id, None)
        if request is not None:
            self.requests[reservation_id] = request
        if held is not None:
            self.reserved[reservation_id] = held
        if waiting is not None:
            self.waiting[reservation_id] = waiting
        if held is None and waiting is None:
            self.closed.add(reservation_id)
