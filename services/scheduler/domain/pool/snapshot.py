"""All that a pool's owner knows: nodes, tenants, reservations, queue, claims, and what the policy remembers.

It is rebuilt from the store alone at take-over. Only `apply` and its parts change it; what they changed since the last
`settled` is in `touched`, and is all that has to be stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Claim, Node, Request, Reservation, Tenant, Victim, Waiting
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.nodes.shape import Seen, seen_of
from services.scheduler.domain.placing.could_go import CouldGo
from services.scheduler.domain.policies.interface import Policy
from services.scheduler.domain.pool.credits import Credits
from services.scheduler.domain.pool.queue import Queue
from services.scheduler.domain.pool.quota_index import QuotaIndex
from services.scheduler.domain.pool.shares import Shares

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of a pool that has applied nothing."""

PATIENCE = timedelta(seconds=10)
"""How late others may be before a promise that waits for them is made anew: what ends on time ends a little late."""


class Touched(NamedTuple):
    """Whose a changed reservation is."""

    tenant_id: UUID
    deployment_id: UUID
    request: Request | None
    """What was asked for; None where it is not at hand, as of what was released before it was asked for."""


class Snapshot:
    """The state that decisions are taken on."""

    def __init__(
        self,
        pool: str,
        policy: Policy,
        *,
        nodes: Iterable[Node] = (),
        tenants: Iterable[Tenant] = (),
        reservations: Iterable[Reservation] = (),
        waiting: Iterable[Waiting] = (),
        claims: Iterable[Claim] = (),
        memory: str = "",
        memory_at: int = 0,
        recent: Iterable[Seen] = (),
        now: datetime = LONG_AGO,
        applied: int = 0,
        decided: int = 0,
    ) -> None:
        self.pool = pool
        """Name of the pool."""
        self.policy = policy
        self.cluster = Cluster(nodes)
        self.chooser = policy.chooser(self.cluster, memory)
        """The policy at work on the pool's nodes."""
        self.memory_at = memory_at
        """Number of the input with which the policy's memory changed last."""
        self.tenants: dict[UUID, Tenant] = {}
        """Those that something was heard of; changed by `set_tenant` alone."""
        self.quotas = QuotaIndex()
        self.shares = Shares(self.cluster)
        self.credits = Credits()
        self.pods_when_empty: dict[Resources, int] = {}
        """Pods of a demand that empty nodes could hold, as far as it was asked; forgotten when a node changes."""
        self.reservations: dict[UUID, Reservation] = {}
        """What is set aside now, by reservation id."""
        self.timed: dict[UUID, datetime] = {}
        """When reservations are expected to end, UTC, where that is known."""
        self.drainable: dict[tuple[bool, int], dict[UUID, Reservation]] = {}
        """Reservations that are beyond a minimum, or preemptible, by whether they are the former, and priority."""
        self.could_go = CouldGo(self.cluster)
        """What those hold, node by node."""
        self.of_deployment: dict[UUID, set[UUID]] = {}
        """Reservations that each deployment holds."""
        self.queue = Queue(waiting)
        self.claims: dict[UUID, Claim] = {}
        """What is kept for waiting requests, by their reservation id."""
        self.closed: set[UUID] = set()
        """Reservations that ended, or belong to another pool, as far as the present inputs mention them."""
        self.touched: dict[UUID, Touched] = {}
        """Reservations whose state changed since it was stored last."""
        self.claims_touched: set[UUID] = set()
        """Claims that changed since they were stored last, by the claimant's reservation id."""
        self.failed_retries: list[tuple[Request, Exception]] = []
        """Waiting requests that could not be tried, and why; for the owner, who takes them from here, to tell."""
        self.now = now
        """When the last input was applied, UTC."""
        self.applied = applied
        """Number of the input that was applied last."""
        self.decided = decided
        """Number of the decision that was taken last."""
        self._restore(tenants, reservations, claims, recent)

    def _restore(
        self,
        tenants: Iterable[Tenant],
        reservations: Iterable[Reservation],
        claims: Iterable[Claim],
        recent: Iterable[Seen],
    ) -> None:
        """Take what was stored. What the policy saw comes last: it may look at what is free."""
        for tenant in tenants:
            self.set_tenant(tenant)
        for reservation in reservations:
            self._hold(reservation)
        for claim in claims:
            self._keep(claim)
        for seen in recent:
            self._saw(seen)

    def copy(self) -> Snapshot:
        """One of the same content, as after a restart, to try things on. What the policy has seen since its memory
        changed last is not in it, and plays no part in what it chooses."""
        return Snapshot(
            self.pool,
            self.policy,
            nodes=self.cluster.nodes,
            tenants=self.tenants.values(),
            reservations=self.reservations.values(),
            waiting=self.queue,
            claims=self.claims.values(),
            memory=self.chooser.memory,
            memory_at=self.memory_at,
            now=self.now,
            applied=self.applied,
            decided=self.decided,
        )

    def knows(self, reservation_id: UUID) -> bool:
        """Whether the reservation was asked for or ended before."""
        return reservation_id in self.reservations or reservation_id in self.queue or reservation_id in self.closed

    def request(self, reservation_id: UUID) -> Request | None:
        """The request that is reserved or waits under this id; None when none does."""
        reservation = self.reservations.get(reservation_id)
        waiting = self.queue.find(reservation_id)
        return reservation.request if reservation else waiting.request if waiting else None

    def tenant(self, tenant_id: UUID) -> Tenant:
        """The tenant, without a plan when nothing was heard of it."""
        return self.tenants.get(tenant_id) or Tenant(tenant_id, None)

    def saw(self, request: Request) -> None:
        """The request belongs to the pool's recent past from now on."""
        self._saw(seen_of(request.arrival, request.resources, request.replicas))

    def next_due(self) -> datetime | None:
        """When time alone changes something, UTC: a deadline, a promise that was not kept; None when nothing is due
        ever."""
        promised = (claim.promised_at for claim in self.claims.values())
        broken = (moment + PATIENCE for moment in promised if moment is not None)
        moments = [moment for moment in (self.queue.next_deadline(), *broken) if moment is not None]
        return min(moments, default=None)

    def settled(self) -> None:
        """What was touched is stored."""
        self.touched.clear()
        self.claims_touched.clear()

    def reserve(self, request: Request, allocations: tuple[Allocation, ...]) -> Reservation:
        """Take these places for the request, beside those that it has; returns all that it has now."""
        held = self.reservations.get(request.reservation_id)
        before = held.allocations if held else ()
        every = tuple(sorted((*before, *allocations), key=lambda each: (each.replica, each.worker)))
        if held is not None:
            self._let_go(held)
        reservation = Reservation(request, every, held.since if held else self.now)
        self._hold(reservation)
        self._touch(request)
        return reservation

    def give_back(self, reservation_id: UUID, replicas: tuple[int, ...]) -> int:
        """Take these replicas from the reservation, as far as it holds them. Returns the thousandths given back."""
        held = self.reservations.get(reservation_id)
        if held is None:
            return 0
        self._let_go(held)
        self._touch(held.request)
        rest = held.without(replicas)
        if rest.allocations:
            self._hold(rest)
        return held.gpu_milli - rest.gpu_milli

    def wait(self, waiting: Waiting) -> None:
        """Let it wait."""
        self.queue.add(waiting)
        self._touch(waiting.request)

    def stop_waiting(self, reservation_id: UUID) -> Waiting:
        """Take it from the queue; raises `KeyError` when it does not wait."""
        waiting = self.queue.remove(reservation_id)
        self._touch(waiting.request)
        return waiting

    def close(self, reservation_id: UUID, tenant_id: UUID, deployment_id: UUID) -> None:
        """The reservation ended, or was refused; it is never asked for again."""
        self.closed.add(reservation_id)
        known = self.touched.get(reservation_id)
        self.touched[reservation_id] = Touched(tenant_id, deployment_id, known.request if known else None)

    def claim(self, claim: Claim) -> None:
        """Keep these places for the claimant, instead of those that were kept for it before."""
        self.drop_claim(claim.reservation_id)
        self._keep(claim)
        self.claims_touched.add(claim.reservation_id)

    def drop_claim(self, reservation_id: UUID) -> tuple[Victim, ...]:
        """Keep nothing for the claimant any more. Returns who was still to drain for it."""
        claim = self.claims.pop(reservation_id, None)
        if claim is None:
            return ()
        self.claims_touched.add(reservation_id)
        self.cluster.let_go(claim.resources, *claim.allocations)
        return claim.victims

    def set_tenant(self, tenant: Tenant) -> None:
        """The tenant may hold this from now on."""
        self.tenants[tenant.tenant_id] = tenant
        self.quotas.set(tenant)

    def observe(self, node: Node) -> None:
        """The node has this capacity from now on."""
        self.cluster.observe(node)
        self.shares.nodes_changed()
        self.pods_when_empty.clear()

    def _saw(self, seen: Seen) -> None:
        before = self.chooser.memory
        self.chooser.saw(seen.shape, seen.pods)
        if self.chooser.memory != before:
            self.memory_at = seen.arrival

    def _touch(self, request: Request) -> None:
        self.touched[request.reservation_id] = Touched(request.tenant_id, request.deployment_id, request)

    def _hold(self, reservation: Reservation) -> None:
        self.cluster.take(reservation.request.resources, *reservation.allocations)
        self.shares.take(reservation)
        self.credits.take(reservation)
        request = reservation.request
        self.reservations[request.reservation_id] = reservation
        self.of_deployment.setdefault(request.deployment_id, set()).add(request.reservation_id)
        if reservation.ends_at is not None:
            self.timed[request.reservation_id] = reservation.ends_at
        if request.is_elastic or request.preemptible:
            alike = self.drainable.setdefault((request.is_elastic, request.priority), {})
            alike[request.reservation_id] = reservation
            self.could_go.add((request.is_elastic, request.priority), reservation)

    def _let_go(self, reservation: Reservation) -> None:
        request = reservation.request
        del self.reservations[request.reservation_id]
        self.timed.pop(request.reservation_id, None)
        if request.is_elastic or request.preemptible:
            alike = self.drainable[request.is_elastic, request.priority]
            del alike[request.reservation_id]
            if not alike:
                del self.drainable[request.is_elastic, request.priority]
            self.could_go.add((request.is_elastic, request.priority), reservation, -1)
        self.of_deployment[request.deployment_id].discard(request.reservation_id)
        if not self.of_deployment[request.deployment_id]:
            del self.of_deployment[request.deployment_id]
        self.shares.give(reservation)
        self.credits.give(reservation)
        self.cluster.give(reservation.request.resources, *reservation.allocations)

    def _keep(self, claim: Claim) -> None:
        self.cluster.hold(claim.resources, *claim.allocations)
        self.claims[claim.reservation_id] = claim
