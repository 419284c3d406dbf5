"""The search for replicas whose draining makes room for so many pods: node by node, the cheapest first for what it
brings.

What a node can do is found out only when no other node can be cheaper: until then a lower bound stands for it.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from uuid import UUID

import numpy as np

from schemas.resources import WHOLE_GPU_MILLI, Resources
from services.scheduler.domain.draining.budgets import Budgets
from services.scheduler.domain.draining.candidates import Candidate
from services.scheduler.domain.nodes.cluster import Flags
from services.scheduler.domain.placing.feasibility import pods_by_node
from services.scheduler.domain.placing.room import Room, ways
from services.scheduler.domain.pool.snapshot import Snapshot

SCALE = 5040
"""Costs per pod are compared in whole numbers, exact up to 10 pods."""

Cost = tuple[int, int, int, int, int, int]
"""Tier; per pod that it brings: replicas, their priorities, last ones of a reservation, thousandths of a GPU; row."""


@dataclass(frozen=True, slots=True)
class Option:
    """What one node can do."""

    row: int
    victims: Sequence[Candidate]
    pods: int
    """Pods that it takes more when they have gone."""

    def cost(self, wanted: int) -> Cost:
        """Lower goes first; pods beyond the wanted ones count for nothing."""
        sums = (
            len(self.victims),
            sum(each.reservation.request.priority for each in self.victims),
            sum(each.is_last for each in self.victims),
            sum(each.gpu_milli for each in self.victims),
        )
        replicas, priorities, last, milli = (total * SCALE // min(self.pods, wanted) for total in sums)
        return max(each.tier for each in self.victims), replicas, priorities, last, milli, self.row


class Search:
    """One search on some rows, as a context: until its end what is chosen is gone on the cluster."""

    def __init__(self, snapshot: Snapshot, resources: Resources, candidates: Iterable[Candidate], rows: Flags) -> None:
        self._cluster, self._resources, self._rows = snapshot.cluster, resources, rows
        self._pods = np.where(rows, pods_by_node(snapshot.cluster, resources), 0).tolist()
        """Pods that each row takes now."""
        self._total = sum(self._pods)
        self._chosen: dict[Candidate, None] = {}
        self._budgets = Budgets(snapshot)
        self._by_row: dict[int, list[Candidate]] = defaultdict(list)
        self._reclaimable: dict[UUID, set[int]] = defaultdict(set)
        """Rows with something that is guarded, by tenant: what each can do depends on the others."""
        for each in candidates:
            for row in self._rows_of(each):
                self._by_row[row].append(each)
                if each.is_guarded:
                    self._reclaimable[each.tenant_id].add(row)
        self._changes: Counter[int] = Counter()
        """How often what a row can do has changed; entries from before that are void."""
        self._heap: list[tuple[Cost, int, Option | None]] = []
        """Cost, changes of the row until then, and the option; None for a lower bound of the cost."""

    def __enter__(self) -> Search:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for victim in list(self._chosen):
            self._stay(victim)

    @property
    def chosen(self) -> list[Candidate]:
        """Who has to go, the cheapest first."""
        return sorted(self._chosen, key=lambda each: each.cost)

    def choose(self, wanted: int) -> bool:
        """Choose until so many pods fit, and spare who is not needed for that. False when nothing helps, or nothing is
        needed."""
        if self._total >= wanted:
            return False
        self._look(self._by_row, wanted)
        while self._total < wanted:
            option = self._next(wanted)
            if option is None:
                return False
            changed = [row for victim in option.victims for row in self._go(victim)]
            self._look(dict.fromkeys(changed), wanted)
        for victim in reversed(self.chosen):
            self._stay(victim)
            if self._total < wanted:
                self._go(victim)
        return True

    def _next(self, wanted: int) -> Option | None:
        """The cheapest option of all nodes; None when there is none."""
        while self._heap:
            cost, changes, option = heapq.heappop(self._heap)
            row = cost[-1]
            if changes != self._changes[row]:
                continue
            if option is not None and option.cost(wanted - self._total) == cost:
                return option
            option = option or self._option(row, wanted - self._total)
            if option is not None:
                heapq.heappush(self._heap, (option.cost(wanted - self._total), changes, option))
        return None

    def _look(self, rows: Iterable[int], wanted: int) -> None:
        """What these nodes can do is to be found out anew."""
        for row in rows:
            self._changes[row] += 1
            left = self._left(row)
            if left:
                heapq.heappush(self._heap, (self._bound(row, left, wanted), self._changes[row], None))

    def _bound(self, row: int, left: list[Candidate], wanted: int) -> Cost:
        """No option of the row costs less: for each pod that it brings, so much GPU has to become free."""
        missing = max(0, self._resources.gpu_count * self._resources.gpu_milli - self._idle(row))
        largest = max(1, max(each.gpu_milli for each in left))
        replicas = max(missing * SCALE // largest, SCALE // wanted)
        priorities = replicas * min(each.cost[1] for each in left)
        last = max(0, replicas - SCALE * sum(not each.is_last for each in left))
        return min(each.tier for each in left), replicas, priorities, last, missing * SCALE, row

    def _idle(self, row: int) -> int:
        """Thousandths that nobody uses, of cut devices too."""
        cluster = self._cluster
        used = cluster.device_taken[row] + cluster.device_held[row]
        return int((WHOLE_GPU_MILLI - used[: cluster.device_count[row]]).clip(min=0).sum())

    def _option(self, row: int, wanted: int) -> Option | None:
        """The cheapest way to make room for a pod more on the node, as far as the guarantees of tenants let them go."""
        left = self._left(row)
        options = self._options(row, left)
        allowed = [option for option in options if self._budgets.allow_all(option.victims)]
        if options and not allowed:
            allowed = self._options(row, self._budgets.allow(left))
        return min(allowed, key=lambda option: option.cost(wanted), default=None)

    def _options(self, row: int, left: list[Candidate]) -> list[Option]:
        return [Option(row, *way) for way in ways(self._cluster, row, self._resources, left)]

    def _left(self, row: int) -> list[Candidate]:
        """Candidates on the node that are not chosen, the cheapest first."""
        return [each for each in self._by_row[row] if each not in self._chosen]

    def _go(self, victim: Candidate) -> set[int]:
        """Choose it. Returns the rows that can do something else now."""
        self._chosen[victim] = None
        self._budgets.choose(victim)
        for allocation in victim.allocations:
            self._cluster.give(victim.resources, allocation)
        return self._count(victim) | self._reclaimable.get(victim.tenant_id, set())

    def _stay(self, victim: Candidate) -> None:
        """Choose it no more."""
        del self._chosen[victim]
        self._budgets.choose(victim, -1)
        for allocation in victim.allocations:
            self._cluster.take(victim.resources, allocation)
        self._count(victim)

    def _count(self, victim: Candidate) -> set[int]:
        """Count anew what the victim's nodes take."""
        rows = self._rows_of(victim)
        for row in rows:
            self._total -= self._pods[row]
            self._pods[row] = Room(self._cluster, row).pods(self._resources)
            self._total += self._pods[row]
        return rows

    def _rows_of(self, each: Candidate) -> set[int]:
        """Rows that matter on which it has a pod."""
        rows = {self._cluster.row_of[allocation.node] for allocation in each.allocations}
        return {row for row in rows if self._rows[row]}
