"""The recent past of a pool: which pods were asked for lately, in blocks, as text that outlives a restart.

A memory says all that was seen until it was written. Whoever makes a chooser from it tells it again what was asked for
since then, and has the same chooser as before.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.workload import PRIOR, Workload

BLOCK = 500
"""Pods between two refreshes. The first ones come sooner: after 50 pods, then whenever they doubled."""
FIRST_BLOCK = 50
TOLD = 200
"""Pods that a workload which was told counts as, beside those that were seen."""
REMEMBERED = 4_000
"""Pods that are remembered unless told otherwise."""


class Past:
    """Counts of the last pods; or a workload that is given and stays as it is."""

    def __init__(
        self,
        remembered: int = REMEMBERED,
        blocks: Iterable[Workload] = (),
        current: Workload | None = None,
        *,
        is_fixed: bool = False,
    ) -> None:
        self._remembered = remembered
        self._blocks = [dict(block) for block in blocks]
        self._is_fixed = is_fixed
        self._current: Counter[Shape] = Counter(current)
        self._pods = sum(sum(block.values()) for block in self._blocks)

    def saw(self, shape: Shape, pods: int) -> bool:
        """Count the pods; whether they completed a block, so that the workload is another now."""
        self._current[shape] += pods
        seen = self._current.total()
        if seen < min(BLOCK, self._remembered, max(FIRST_BLOCK, self._pods)):
            return False
        if not self._is_fixed:
            self._blocks.append(dict(self._current))
            self._drop_old()
        self._current.clear()
        return True

    def workload(self) -> Workload:
        """What to expect: the pods that are remembered, or before the first block the prior."""
        pods: Counter[Shape] = Counter()
        for block in self._blocks:
            pods.update(block)
        return pods or PRIOR

    @property
    def is_young(self) -> bool:
        """Whether it is less than half of what is remembered: then each block tells much that is new."""
        return 2 * self._pods < self._remembered

    def as_json(self) -> dict[str, Any]:
        """The blocks, the one that is not complete last, each shape written once."""
        every = [*self._blocks, self._current]
        shapes = {shape: number for number, shape in enumerate(sorted(set().union(*every)))}
        blocks = [[[shapes[shape], pods] for shape, pods in block.items()] for block in every]
        return {"fixed": self._is_fixed, "shapes": list(shapes), "blocks": blocks}

    def _drop_old(self) -> None:
        self._pods = sum(sum(block.values()) for block in self._blocks)
        while self._pods > self._remembered and len(self._blocks) > 1:
            self._pods -= sum(self._blocks.pop(0).values())


def past_of(told: dict[str, Any], remembered: int = REMEMBERED) -> Past:
    """The past that `as_json` told; an empty one of an empty memory."""
    if not told:
        return Past(remembered)
    shapes = [Shape(cpu, memory, count, milli, tuple(models)) for cpu, memory, count, milli, models in told["shapes"]]
    *blocks, current = [{shapes[number]: pods for number, pods in block} for block in told["blocks"]]
    return Past(remembered, blocks, current, is_fixed=told["fixed"])


def workload_as_json(workload: Workload) -> list[Any]:
    """A workload for a memory."""
    return [[*shape, pods] for shape, pods in sorted(workload.items())]


def workload_of(told: list[Any]) -> Workload:
    """The workload that `workload_as_json` told."""
    return {Shape(cpu, memory, count, milli, tuple(models)): pods for cpu, memory, count, milli, models, pods in told}


def fixed_memory(workload: Workload) -> str:
    """The memory of a chooser that expects this workload for ever, for experiments with a known distribution."""
    return _memory(Past(blocks=[workload], is_fixed=True))


def first_memory(workload: Workload) -> str:
    """The memory of a chooser that expects this workload until it knows better: as much as `TOLD` pods of the past."""
    whole = sum(workload.values())
    return _memory(Past(blocks=[{shape: -(-pods * TOLD // whole) for shape, pods in workload.items()}]))


def _memory(past: Past) -> str:
    return json.dumps({"past": past.as_json()}, separators=(",", ":"))
