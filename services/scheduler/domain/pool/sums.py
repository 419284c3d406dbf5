"""What a tenant's waiting requests ask for together, up to each of them: how large its share is when its turn comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from services.scheduler.domain.model import Waiting
from services.scheduler.domain.nodes.cluster import Ints

ALL = ""
"""The resource that all GPUs together are; also the key of a quota for all models."""
CPU, MEMORY = "cpu", "memory"
"""Keys of thousandths of a core and of MiB; no GPU model is named like that (models are upper case in all sources)."""


def demand_of(waiting: Waiting) -> Iterator[tuple[str, int]]:
    """What a request waits for by resource; of a GPU model only where no other will do."""
    resources = waiting.request.resources
    if waiting.gpu_milli:
        yield ALL, waiting.gpu_milli
        if len(resources.gpu_models) == 1:
            yield resources.gpu_models[0], waiting.gpu_milli
    pods = len(waiting.replicas) * resources.workers
    yield CPU, pods * resources.cpu_milli
    yield MEMORY, pods * resources.memory_mib


class Sums:
    """Running sums over the demands of a tenant's requests, in their order. They are added up when they are asked
    for."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        """Row of each resource."""
        self._length = 0
        self._demands: Ints = np.zeros((4, 16), np.int64)
        """Shape (resources, requests), with room for more."""
        self._sums: Ints | None = None

    def added(self, index: int, waiting: Waiting) -> None:
        """It stands at this place now, and those from there on one further."""
        demand = dict(demand_of(waiting))
        for resource in demand:
            self._rows.setdefault(resource, len(self._rows))
        rows, width = self._demands.shape
        if len(self._rows) > rows or self._length == width:
            more = (max(0, len(self._rows) - rows), width if self._length == width else 0)
            self._demands = np.pad(self._demands, ((0, more[0]), (0, more[1])))
        self._demands[:, index + 1 : self._length + 1] = self._demands[:, index : self._length]
        self._demands[:, index] = 0
        for resource, amount in demand.items():
            self._demands[self._rows[resource], index] = amount
        self._length += 1
        self._sums = None

    def removed(self, index: int) -> None:
        """The one at this place is gone."""
        self._demands[:, index : self._length - 1] = self._demands[:, index + 1 : self._length]
        self._length -= 1
        self._sums = None

    def first(self, number: int) -> dict[str, int]:
        """What the first `number` requests ask for by resource."""
        if number == 0:
            return {}
        column = self._added_up()[:, number - 1].tolist()
        return {resource: column[row] for resource, row in self._rows.items()}

    def within(self, most: Mapping[str, int]) -> int:
        """How many requests, from the first one, ask together for no more than this of any resource. What is not
        named has no limit."""
        sums = self._added_up()
        counts = (
            int(sums[self._rows[resource]].searchsorted(amount, "right"))
            for resource, amount in most.items()
            if resource in self._rows
        )
        return min(counts, default=self._length)

    def _added_up(self) -> Ints:
        if self._sums is None:
            self._sums = self._demands[:, : self._length].cumsum(axis=1)
        return self._sums


def with_demand(sums: Mapping[str, int], waiting: Waiting) -> dict[str, int]:
    """What these ask for and it too."""
    total = dict(sums)
    for resource, amount in demand_of(waiting):
        total[resource] = total.get(resource, 0) + amount
    return total
