"""Which serving replicas to move so that a demand fits: surge at the new place, shift the traffic, release the old one.

Each move needs its new place before its old one is free, so the plan holds in the order that it gives. Pod after pod of
the demand takes the node where the fewest replicas, and then the least GPU, have to go, of the nodes from which all of
them can. Gangs over several nodes are not moved, nor is what drains already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from schemas.capacity import AskDefragmentation, DefragmentationPlanned, Move
from schemas.resources import Allocation, Resources, Topology
from services.scheduler.domain.deciding.decide import try_to_place
from services.scheduler.domain.deciding.reasons import never, why
from services.scheduler.domain.errors import InconsistentError
from services.scheduler.domain.model import Request, Waiting
from services.scheduler.domain.nodes.cluster import Cluster, Flags
from services.scheduler.domain.placing.feasibility import right_model
from services.scheduler.domain.placing.place import place_pod
from services.scheduler.domain.placing.room import ways
from services.scheduler.domain.pool.claims import draining
from services.scheduler.domain.pool.limits import Refusal, may_start
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.questions.whatif import imagined


@dataclass(frozen=True, slots=True)
class Movable:
    """A replica of one pod that could move."""

    request: Request
    allocation: Allocation

    tier: int = 0
    """Nobody is to move rather than another."""

    @property
    def gpu_milli(self) -> int:
        """Thousandths of a GPU that it holds."""
        return self.resources.total_gpu_milli

    @property
    def resources(self) -> Resources:
        """Its demand."""
        return self.request.resources

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """Its one place."""
        return (self.allocation,)


@dataclass(slots=True)
class _Plan:
    """The moves so far. On the cluster they are made."""

    snapshot: Snapshot
    resources: Resources
    movable: dict[str, list[Movable]]
    """By node, the smallest first."""
    moves: list[tuple[Movable, Allocation]] = field(default_factory=list)
    pods: list[Allocation] = field(default_factory=list)

    def undo(self) -> None:
        """Make the cluster as it was."""
        cluster = self.snapshot.cluster
        for pod in self.pods:
            cluster.give(self.resources, pod)
        for movable, target in reversed(self.moves):
            cluster.give(movable.resources, target)
            cluster.take(movable.resources, movable.allocation)


def plan_moves(snapshot: Snapshot, asked: AskDefragmentation, tenant_id: UUID) -> DefragmentationPlanned:
    """The plan for the demand, or why there is none."""
    waiting = imagined(snapshot, asked, tenant_id)
    refused = never(snapshot, waiting.request)
    allowed = may_start(snapshot, waiting)
    if refused is not None:
        return _planned(snapshot, asked, refused.detail)
    if isinstance(allowed, Refusal):
        return _planned(snapshot, asked, allowed.detail)
    fits = try_to_place(snapshot, waiting)
    if fits is not None:
        return _planned(snapshot, asked, "it fits without a move", allocations=fits.allocations)
    short = why(snapshot, waiting)[1]
    plan = _Plan(snapshot, waiting.request.resources, _movable(snapshot))
    try:
        if not _make(plan, waiting, allowed):
            return _planned(snapshot, asked, f"no moves of serving replicas make room for it: {short}")
        detail = f"{len(plan.moves)} replicas move, each to its new place before it leaves the old one"
        return _planned(snapshot, asked, detail, tuple(plan.moves), tuple(plan.pods))
    finally:
        plan.undo()


def _planned(
    snapshot: Snapshot,
    asked: AskDefragmentation,
    detail: str,
    moves: tuple[tuple[Movable, Allocation], ...] = (),
    allocations: tuple[Allocation, ...] = (),
) -> DefragmentationPlanned:
    return DefragmentationPlanned(
        question_id=asked.question_id,
        pool=asked.pool,
        is_possible=bool(allocations),
        detail=detail,
        moves=tuple(
            Move(
                reservation_id=movable.request.reservation_id,
                deployment_id=movable.request.deployment_id,
                source=movable.allocation,
                target=target,
            )
            for movable, target in moves
        ),
        moved_gpu_milli=sum(movable.resources.total_gpu_milli for movable, _ in moves),
        allocations=allocations,
        as_of_decision=snapshot.decided,
    )


def _movable(snapshot: Snapshot) -> dict[str, list[Movable]]:
    asked = draining(snapshot)
    found: dict[str, list[Movable]] = defaultdict(list)
    for held in snapshot.reservations.values():
        if held.request.resources.workers == 1:
            for allocation in held.allocations:
                if allocation.replica not in asked.get(held.request.reservation_id, set()):
                    found[allocation.node].append(Movable(held.request, allocation))
    for here in found.values():
        here.sort(
            key=lambda each: (each.resources.total_gpu_milli, each.request.reservation_id, each.allocation.replica)
        )
    return found


def _make(plan: _Plan, waiting: Waiting, allowed: Flags | None) -> bool:
    """Find a place for each pod of the demand, with moves where it needs them."""
    cluster, resources = plan.snapshot.cluster, plan.resources
    rows = right_model(cluster, resources) & (True if allowed is None else allowed)
    for replica in waiting.replicas:
        for worker in range(resources.workers):
            pod = place_pod(cluster, plan.snapshot.chooser, resources, replica, worker, rows)
            if pod is None:
                row = next((row for row, going in _options(plan, rows) if _move_all(plan, row, going)), None)
                if row is None:
                    return False
                here = np.zeros_like(rows)
                here[row] = True
                pod = place_pod(cluster, plan.snapshot.chooser, resources, replica, worker, here)
                if pod is None:
                    raise InconsistentError(cluster.nodes[row].name)
            cluster.take(resources, pod)
            plan.pods.append(pod)
    return True


def _options(plan: _Plan, rows: Flags) -> Iterator[tuple[int, list[Movable]]]:
    """Nodes with what has to leave them, the cheapest first. What was moved once is not moved again."""
    moved = {id(movable) for movable, _ in plan.moves}
    options = []
    for node, movable in plan.movable.items():
        row = plan.snapshot.cluster.row_of[node]
        here = [each for each in movable if id(each) not in moved]
        found = list(ways(plan.snapshot.cluster, row, plan.resources, here)) if rows[row] else []
        if found:
            going = min((way for way, _ in found), key=_cost)
            options.append((*_cost(going), row, going))
    for _, _, row, going in sorted(options, key=lambda option: option[:3]):
        yield row, going


def _cost(going: list[Movable]) -> tuple[int, int]:
    return len(going), sum(each.gpu_milli for each in going)


def _move_all(plan: _Plan, row: int, going: list[Movable]) -> bool:
    """Move them to other nodes; all or none. The new place is taken before the old one is free."""
    cluster, done = plan.snapshot.cluster, len(plan.moves)
    for movable in going:
        elsewhere = _elsewhere(cluster, movable, row)
        target = place_pod(cluster, plan.snapshot.chooser, movable.resources, movable.allocation.replica, 0, elsewhere)
        if target is None:
            _take_back(plan, done)
            return False
        cluster.take(movable.resources, target)
        cluster.give(movable.resources, movable.allocation)
        plan.moves.append((movable, target))
    return True


def _elsewhere(cluster: Cluster, movable: Movable, row: int) -> Flags:
    """Other nodes with the model that it has, which its tenant may hold; in its zone if it must be in one."""
    rows = right_model(cluster, movable.resources).copy()
    if movable.resources.gpu_count:
        rows &= cluster.model == cluster.model[row]
    if movable.resources.topology is Topology.SAME_ZONE:
        rows &= cluster.zone == cluster.zone[row]
    rows[row] = False
    return rows


def _take_back(plan: _Plan, done: int) -> None:
    """Undo the moves after the first `done`."""
    cluster = plan.snapshot.cluster
    while len(plan.moves) > done:
        movable, target = plan.moves.pop()
        cluster.give(movable.resources, target)
        cluster.take(movable.resources, movable.allocation)
