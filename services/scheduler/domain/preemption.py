"""The fewest and cheapest replicas whose draining makes room for a waiting request; none unless it then fits.

Pod after pod: where it fits without draining it goes there; else on the node where the cheapest few have to go. At the
end each chosen replica that turns out not to be in the way is spared, the dearest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from schemas.placement import PreemptionReason
from schemas.resources import Allocation, Resources
from services.scheduler.domain.candidates import Candidate, candidates_for
from services.scheduler.domain.cluster import Cluster, Flags
from services.scheduler.domain.feasibility import right_model
from services.scheduler.domain.model import Waiting
from services.scheduler.domain.place import can_take_all, place_pod
from services.scheduler.domain.room import fewest
from services.scheduler.domain.snapshot import Snapshot

Change = Callable[[Resources, Allocation], None]
"""Takes a pod's place or gives it back."""


@dataclass(frozen=True, slots=True)
class Drainage:
    """Who has to drain, and where the request goes then."""

    victims: tuple[Candidate, ...]
    allocations: tuple[Allocation, ...]
    """One a pod, by replica and worker."""


@dataclass(slots=True)
class _Search:
    """The candidates, and what is chosen so far: on the cluster it is gone."""

    snapshot: Snapshot
    resources: Resources
    by_node: dict[str, list[Candidate]]
    chosen: list[Candidate] = field(default_factory=list)
    reclaimed: defaultdict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    """Thousandths that each tenant is to give back of what it borrowed."""

    @property
    def cluster(self) -> Cluster:
        return self.snapshot.cluster

    def drain(self, victims: Iterable[Candidate]) -> None:
        for victim in victims:
            self.chosen.append(victim)
            self._change(victim, self.cluster.give, 1)

    def spare(self, victim: Candidate) -> None:
        self.chosen.remove(victim)
        self._change(victim, self.cluster.take, -1)

    def left(self, node: str) -> list[Candidate]:
        """Candidates on the node that are not chosen, the cheapest first."""
        chosen = {(each.reservation.request.reservation_id, each.replica) for each in self.chosen}
        return [
            each
            for each in self.by_node.get(node, ())
            if (each.reservation.request.reservation_id, each.replica) not in chosen and self._may_reclaim(each)
        ]

    def _may_reclaim(self, each: Candidate) -> bool:
        """A tenant gives back while it holds more than its guarantee, and no more."""
        if each.reason is not PreemptionReason.RECLAIM:
            return True
        beyond = self.snapshot.shares.beyond_guarantee(self.snapshot.tenant(each.tenant_id))
        return self.reclaimed[each.tenant_id] < beyond

    def _change(self, victim: Candidate, change: Change, sign: int) -> None:
        for allocation in victim.allocations:
            change(victim.resources, allocation)
        if victim.reason is PreemptionReason.RECLAIM:
            self.reclaimed[victim.tenant_id] += sign * victim.gpu_milli


def drainage_for(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> Drainage | None:
    """What has to drain for it on the allowed nodes; None when nothing helps. The cluster is as before afterwards."""
    candidates = candidates_for(snapshot, waiting)
    if not candidates:
        return None
    by_node: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        for node in {allocation.node for allocation in candidate.allocations}:
            by_node[node].append(candidate)
    search = _Search(snapshot, waiting.request.resources, by_node)
    taken: list[Allocation] = []
    try:
        if not _place_all(search, waiting, allowed, taken):
            return None
        _spare(search)
        return Drainage(tuple(search.chosen), tuple(taken)) if search.chosen else None
    finally:
        for allocation in taken:
            snapshot.cluster.give(search.resources, allocation)
        for victim in list(search.chosen):
            search.spare(victim)


def _place_all(search: _Search, waiting: Waiting, allowed: Flags | None, taken: list[Allocation]) -> bool:
    rows = right_model(search.cluster, search.resources)
    if allowed is not None:
        rows = rows & allowed
    chooser = search.snapshot.chooser
    for replica in waiting.replicas:
        for worker in range(search.resources.workers):
            place = place_pod(search.cluster, chooser, search.resources, replica, worker, rows)
            if place is None:
                row = _drain_a_node(search, rows)
                if row is None:
                    return False
                here = np.zeros_like(rows)
                here[row] = True
                place = place_pod(search.cluster, chooser, search.resources, replica, worker, here)
                if (
                    place is None
                ):  # what was imagined of one node and what its arrays say are the same; this is a defect
                    raise AssertionError(f"node {search.cluster.nodes[row].name} does not take what it has room for")
            search.cluster.take(search.resources, place)
            taken.append(place)
    return True


def _drain_a_node(search: _Search, rows: Flags) -> int | None:
    """Choose the cheapest replicas on one node that make room for a pod; returns its row."""
    best: tuple[tuple[int, int, int, int, int], list[Candidate]] | None = None
    for node in search.by_node:
        row = search.cluster.row_of[node]
        victims = fewest(search.cluster, row, search.resources, search.left(node)) if rows[row] else None
        if victims:
            cost = (
                max(each.cost[0] for each in victims),
                len(victims),
                sum(each.reservation.request.priority for each in victims),
                sum(each.gpu_milli for each in victims),
                row,
            )
            if best is None or cost < best[0]:
                best = cost, victims
    if best is None:
        return None
    search.drain(best[1])
    return best[0][-1]


def _spare(search: _Search) -> None:
    """Let stay whoever is not in the way of what was placed, the dearest first."""
    for victim in sorted(search.chosen, key=lambda each: each.cost, reverse=True):
        if can_take_all(search.cluster, victim.resources, victim.allocations):
            search.spare(victim)
