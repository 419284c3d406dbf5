"""What a tenant's waiting requests ask for together, up to each of them: how large its share is when its turn comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from schemas.resources import Resources
from services.scheduler.domain.model import Waiting

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
    pods = _pods(resources, len(waiting.replicas))
    yield CPU, pods * resources.cpu_milli
    yield MEMORY, pods * resources.memory_mib


def _pods(resources: Resources, replicas: int) -> int:
    return replicas * resources.workers


class Sums:
    """Running sums over a list that somebody else keeps, and tells of what comes and goes.

    They are added up when they are asked for. What comes at the end and what goes from the front, as nearly all does,
    leaves them as they are.
    """

    def __init__(self, requests: Sequence[Waiting]) -> None:
        self._requests = requests
        self._sums: list[dict[str, int]] = []
        """Of the first requests, with `_before` in all of them."""
        self._before: dict[str, int] = {}

    def added(self, index: int) -> None:
        """A request came in at this place."""
        del self._sums[index:]

    def removed(self, index: int) -> None:
        """The request at this place is gone."""
        if index == 0 and self._sums:
            self._before = self._sums.pop(0)
        else:
            del self._sums[index:]

    def first(self, number: int) -> dict[str, int]:
        """What the first `number` requests ask for by resource."""
        while len(self._sums) < number:
            total = dict(self._sums[-1] if self._sums else self._before)
            for resource, amount in demand_of(self._requests[len(self._sums)]):
                total[resource] = total.get(resource, 0) + amount
            self._sums.append(total)
        if number == 0:
            return {}
        before = self._before
        return {resource: amount - before.get(resource, 0) for resource, amount in self._sums[number - 1].items()}


def with_demand(sums: Mapping[str, int], waiting: Waiting) -> dict[str, int]:
    """What these ask for and it too."""
    total = dict(sums)
    for resource, amount in demand_of(waiting):
        total[resource] = total.get(resource, 0) + amount
    return total
