"""Places that are kept for a waiting request: made when others are asked to drain or a start is promised, ended when it
starts, is withdrawn, or the places are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from services.scheduler.domain.decision import DrainWithdrawn
from services.scheduler.domain.model import Claim, Node, Victim
from services.scheduler.domain.pool.snapshot import Snapshot


@contextmanager
def lifted(snapshot: Snapshot, claims: Iterable[Claim]) -> Iterator[None]:
    """Within the block what is kept by these claims is free."""
    kept = [(claim.resources, claim.allocations) for claim in claims]
    for resources, allocations in kept:
        snapshot.cluster.let_go(resources, *allocations)
    try:
        yield
    finally:
        for resources, allocations in kept:
            snapshot.cluster.hold(resources, *allocations)


def draining(snapshot: Snapshot) -> dict[UUID, set[int]]:
    """Replicas that were asked to drain and hold their places still, by reservation."""
    found: dict[UUID, set[int]] = {}
    for claim in snapshot.claims.values():
        for victim in claim.victims:
            found.setdefault(victim.reservation_id, set()).update(victim.replicas)
    return found


def pending_milli(snapshot: Snapshot, tenant_id: UUID, besides: UUID) -> int:
    """Thousandths of a GPU that are being drained for the tenant's requests, that one apart."""
    waiting = (
        snapshot.queue.find(claim.reservation_id)
        for claim in snapshot.claims.values()
        if claim.promised_at is None and claim.reservation_id != besides
    )
    return sum(each.gpu_milli for each in waiting if each is not None and each.request.tenant_id == tenant_id)


def withdraw(snapshot: Snapshot, claimant: UUID, reason: str) -> list[DrainWithdrawn]:
    """End the claim; who was still to drain for it may stay."""
    withdrawn = []
    for victim in snapshot.drop_claim(claimant):
        held = snapshot.reservations.get(victim.reservation_id)
        if held is not None:
            withdrawn.append(DrainWithdrawn(held.request, victim.replicas, claimant, reason))
    return withdrawn


def gone(snapshot: Snapshot, reservation_id: UUID, replicas: tuple[int, ...]) -> None:
    """Replicas are gone: nobody waits for them to drain any more. What is kept stays kept."""
    for claim in list(snapshot.claims.values()):
        victims = tuple(filter(None, (_without(victim, reservation_id, replicas) for victim in claim.victims)))
        if victims != claim.victims:
            snapshot.claims[claim.reservation_id] = replace(claim, victims=victims)
            snapshot.claims_touched.add(claim.reservation_id)


def _without(victim: Victim, reservation_id: UUID, replicas: tuple[int, ...]) -> Victim | None:
    if victim.reservation_id != reservation_id:
        return victim
    rest = tuple(replica for replica in victim.replicas if replica not in replicas)
    return Victim(reservation_id, rest) if rest else None


def drop_broken(snapshot: Snapshot, before: Node, after: Node) -> list[DrainWithdrawn]:
    """End the claims on places that a node will not have any more, or may not: it takes nothing new, has less of
    something, or a device broke. To be called while the snapshot knows the node as it was."""
    has_less = (
        not after.is_present
        or after.is_cordoned
        or (before.gpu_model, before.zone) != (after.gpu_model, after.zone)
        or before.gpu_count > after.gpu_count
        or before.cpu_milli > after.cpu_milli
        or before.memory_mib > after.memory_mib
    )
    broken = [
        claim.reservation_id
        for claim in snapshot.claims.values()
        for allocation in claim.allocations
        if allocation.node == after.name and (has_less or set(allocation.devices) & set(after.failed_devices))
    ]
    reason = f"the place on node {after.name} is gone"
    return [each for claimant in sorted(set(broken)) for each in withdraw(snapshot, claimant, reason)]
