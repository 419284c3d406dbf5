"""The fewest and cheapest replicas whose draining makes room for a waiting request; none unless it then fits.

All pods of a request are alike, so what matters is how many of them the nodes can take (`pods_by_node`): node after
node, the cheapest first for what they bring, replicas are chosen until that is enough. At the end each that turns out
not to be needed is spared, the dearest first. So the request fits, and without any of the chosen it would not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from schemas.resources import Allocation, Topology
from services.scheduler.domain.draining.candidates import Candidate, candidates_for, guaranteed_models
from services.scheduler.domain.draining.search import Search
from services.scheduler.domain.errors import InconsistentError
from services.scheduler.domain.model import Waiting
from services.scheduler.domain.nodes.cluster import Flags
from services.scheduler.domain.placing.feasibility import right_model
from services.scheduler.domain.placing.place import place
from services.scheduler.domain.pool.claims import pending_milli
from services.scheduler.domain.pool.limits import Refusal, may_start
from services.scheduler.domain.pool.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Drainage:
    """Who has to drain, and where the request goes then."""

    victims: tuple[Candidate, ...]
    """The cheapest first."""
    allocations: tuple[Allocation, ...]
    """One a pod, by replica and worker."""

    @property
    def by_reservation(self) -> dict[UUID, list[Candidate]]:
        """The victims of each reservation, by replica; reservations in the order of their cheapest."""
        found: dict[UUID, list[Candidate]] = {}
        for each in self.victims:
            found.setdefault(each.reservation.request.reservation_id, []).append(each)
        return {one: sorted(those, key=lambda each: each.replica) for one, those in found.items()}

    @property
    def cost(self) -> tuple[int, int, int, int]:
        """Lower is better: tier, replicas, their priorities, thousandths of a GPU."""
        return (
            max(each.tier for each in self.victims),
            len(self.victims),
            sum(each.reservation.request.priority for each in self.victims),
            sum(each.gpu_milli for each in self.victims),
        )


def drainage_for(snapshot: Snapshot, waiting: Waiting) -> Drainage | None:
    """What has to drain for it; None when nothing helps, or its tenant may not have it. The cluster is as before
    afterwards."""
    pending = pending_milli(snapshot, waiting.request.tenant_id, waiting.reservation_id)
    allowed = may_start(snapshot, waiting, pending)
    if isinstance(allowed, Refusal):
        return None
    if not _could_help(snapshot, waiting, allowed):
        return None
    candidates = candidates_for(snapshot, waiting)
    if not candidates:
        return None
    found = (_drainage(snapshot, waiting, candidates, rows) for rows in _areas(snapshot, waiting, allowed))
    return min(filter(None, found), key=lambda drainage: drainage.cost, default=None)


def _could_help(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> bool:
    """False when it would not even fit if all went that may go for its priority; told at once."""
    if guaranteed_models(snapshot, waiting):
        return True
    rows = right_model(snapshot.cluster, waiting.request.resources)
    rows = rows if allowed is None else rows & allowed
    pods = len(waiting.replicas) * waiting.request.resources.workers
    return snapshot.could_go.most(waiting.request, rows) >= pods


def _areas(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> Iterator[Flags]:
    """The rows that will do; zone by zone where the pods must lie in one, in the order of their first rows."""
    cluster, resources = snapshot.cluster, waiting.request.resources
    rows = right_model(cluster, resources)
    if allowed is not None:
        rows = rows & allowed
    if resources.topology is not Topology.SAME_ZONE:
        yield rows
        return
    for zone in dict.fromkeys(cluster.zone[rows].tolist()):
        yield rows & (cluster.zone == zone)


def _drainage(snapshot: Snapshot, waiting: Waiting, candidates: list[Candidate], rows: Flags) -> Drainage | None:
    """What has to drain on these rows."""
    resources, pods = waiting.request.resources, len(waiting.replicas) * waiting.request.resources.workers
    with Search(snapshot, resources, candidates, rows) as search:
        if not search.choose(pods):
            return None
        placement = place(snapshot.cluster, snapshot.chooser, resources, waiting.replicas, rows)
        if placement is None:
            raise InconsistentError(candidates[0].allocations[0].node)
        return Drainage(tuple(search.chosen), placement.allocations)
