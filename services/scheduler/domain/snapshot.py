"""All that a pool's owner knows: nodes, tenants, reservations, queue. Rebuilt from the store alone at take-over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from services.scheduler.domain.cluster import Cluster
from services.scheduler.domain.model import Node, Request, Reservation, Tenant
from services.scheduler.domain.queue import Queue


class Snapshot:
    """The state that decisions are taken on. Only `apply` and its parts change it."""

    def __init__(
        self,
        pool: str,
        *,
        nodes: Iterable[Node] = (),
        tenants: Iterable[Tenant] = (),
        reservations: Iterable[Reservation] = (),
        waiting: Iterable[Request] = (),
        applied: int = 0,
        decided: int = 0,
    ) -> None:
        self.pool = pool
        """Name of the pool."""
        self.cluster = Cluster(nodes)
        self.tenants = {tenant.tenant_id: tenant for tenant in tenants}
        self.reservations: dict[UUID, Reservation] = {}
        """What is set aside now, by reservation id."""
        self.queue = Queue(waiting)
        self.closed: set[UUID] = set()
        """Reservations that ended, or belong to another pool, as far as the present inputs mention them."""
        self.failed_retries: list[tuple[Request, Exception]] = []
        """Waiting requests that could not be tried, and why; for the owner, who takes them from here, to tell."""
        self.gpu_milli_held: Counter[UUID] = Counter()
        """Thousandths of a GPU that each tenant holds in this pool."""
        self.applied = applied
        """Number of the input that was applied last."""
        self.decided = decided
        """Number of the decision that was taken last."""
        for reservation in reservations:
            self.reserve(reservation)

    def knows(self, reservation_id: UUID) -> bool:
        """Whether the reservation was asked for or ended before."""
        return reservation_id in self.reservations or reservation_id in self.queue or reservation_id in self.closed

    def request(self, reservation_id: UUID) -> Request | None:
        """The request that is reserved or waits under this id; None when none does."""
        reservation = self.reservations.get(reservation_id)
        return reservation.request if reservation else self.queue.find(reservation_id)

    def reserve(self, reservation: Reservation) -> None:
        """Take what the reservation holds."""
        request = reservation.request
        for allocation in reservation.allocations:
            self.cluster.take(request.resources, allocation)
        self.reservations[request.reservation_id] = reservation
        self.gpu_milli_held[request.tenant_id] += request.gpu_milli

    def release(self, reservation_id: UUID) -> int:
        """End the reservation: give back what it holds, or stop its waiting. Returns the thousandths given back."""
        self.closed.add(reservation_id)
        if reservation_id in self.queue:
            self.queue.remove(reservation_id)
        reservation = self.reservations.pop(reservation_id, None)
        if reservation is None:
            return 0
        request = reservation.request
        for allocation in reservation.allocations:
            self.cluster.give(request.resources, allocation)
        self.gpu_milli_held[request.tenant_id] -= request.gpu_milli
        return request.gpu_milli
