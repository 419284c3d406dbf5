"""Brings the queue in order after something changed: places what fits, drains for the head, renews the promise."""

from __future__ import annotations

from collections.abc import Hashable

from services.scheduler.domain.claims import withdraw
from services.scheduler.domain.decide import may_start, queued, try_to_place
from services.scheduler.domain.decision import Decided, Drain, Numbered, Placed
from services.scheduler.domain.limits import Refusal
from services.scheduler.domain.model import Claim, Victim, Waiting
from services.scheduler.domain.preemption import Drainage, drainage_for
from services.scheduler.domain.promise import renew_promise
from services.scheduler.domain.snapshot import Snapshot
from services.scheduler.domain.turns import Turns


def settle(snapshot: Snapshot) -> list[Numbered]:
    """One pass over the queue, each request in its turn; one that does not fit does not hold up those behind it.

    For the first that does not fit others may be asked to drain; what is kept for it then, the ones behind it leave
    alone.
    """
    outcomes: list[Numbered] = []
    hopeless = Hopeless(snapshot)
    may_drain = True
    turns = Turns(snapshot)
    for waiting in turns:
        had_claim = waiting.reservation_id in snapshot.claims
        placed = None if hopeless.has(waiting) else _try(snapshot, waiting)
        if placed is not None:
            outcomes += start(snapshot, waiting, placed)
            if had_claim:
                hopeless.forget()
            continue
        turns.pass_over(waiting)
        if isinstance(may_start(snapshot, waiting), Refusal):
            continue
        hopeless.add(waiting)
        if may_drain:
            outcomes += drain_for(snapshot, waiting)
            may_drain = False
    renew_promise(snapshot)
    return outcomes


def start(snapshot: Snapshot, waiting: Waiting, placed: Placed) -> list[Numbered]:
    """Give it its places, if it waits it waits no more, and nobody need drain for it any longer."""
    if waiting.reservation_id in snapshot.queue:
        snapshot.stop_waiting(waiting.reservation_id)
    withdrawn = withdraw(snapshot, waiting.reservation_id, "the request that needed the room has found another place")
    snapshot.reserve(waiting.request, placed.allocations)
    return [Decided(waiting.request, placed), *withdrawn]


def drain_for(snapshot: Snapshot, waiting: Waiting) -> list[Numbered]:
    """Ask others to drain for it, if that helps and nobody was asked yet; the first outcome says that it waits so."""
    claim = snapshot.claims.get(waiting.reservation_id)
    allowed = may_start(snapshot, waiting)
    if isinstance(allowed, Refusal) or (claim is not None and claim.victims):
        return []
    drainage = drainage_for(snapshot, waiting, allowed)
    if drainage is None:
        return []
    victims = _victims(drainage)
    snapshot.claim(Claim(waiting.reservation_id, waiting.request.resources, drainage.allocations, victims))
    request = waiting.request
    detail = f"a request of priority {request.priority} needs room for {waiting.gpu_milli} milli-GPU"
    drains = []
    for victim in victims:
        held = snapshot.reservations[victim.reservation_id]
        reason = next(
            each.reason for each in drainage.victims if each.reservation.request.reservation_id == victim.reservation_id
        )
        gpu_milli = held.part(victim.replicas).gpu_milli
        drains.append(Drain(held.request, victim.replicas, gpu_milli, reason, request.reservation_id, detail))
    return [Decided(request, queued(snapshot, waiting)), *drains]


def _victims(drainage: Drainage) -> tuple[Victim, ...]:
    replicas: dict[object, list[int]] = {}
    for each in drainage.victims:
        replicas.setdefault(each.reservation.request.reservation_id, []).append(each.replica)
    ids = sorted({each.reservation.request.reservation_id for each in drainage.victims})
    return tuple(Victim(reservation_id, tuple(sorted(replicas[reservation_id]))) for reservation_id in ids)


def _try(snapshot: Snapshot, waiting: Waiting) -> Placed | None:
    """The placement; None also when trying fails: that must not cost what led to it, such as a release."""
    try:
        return try_to_place(snapshot, waiting)
    except Exception as error:
        snapshot.failed_retries.append((waiting.request, error))
        return None


class Hopeless:
    """Demands that did not fit in this pass. Capacity only shrinks during it, so they need not be tried again for as
    many replicas, by whomever; where there are quotas, by the same tenant."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._has_quotas = any(tenant.quotas for tenant in snapshot.tenants.values())
        self._fewest: dict[Hashable, int] = {}

    def has(self, waiting: Waiting) -> bool:
        """Whether trying is in vain. What is kept for a request may be free for it alone."""
        if waiting.reservation_id in self._snapshot.claims:
            return False
        fewest = self._fewest.get(self._key(waiting))
        return fewest is not None and len(waiting.replicas) >= fewest

    def add(self, waiting: Waiting) -> None:
        """It did not fit."""
        key = self._key(waiting)
        self._fewest[key] = min(len(waiting.replicas), self._fewest.get(key, len(waiting.replicas)))

    def forget(self) -> None:
        """Try all again: a place that was kept is free now."""
        self._fewest.clear()

    def _key(self, waiting: Waiting) -> Hashable:
        request = waiting.request
        return request.resources, request.expected, request.tenant_id if self._has_quotas else None
