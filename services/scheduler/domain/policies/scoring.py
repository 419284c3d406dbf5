"""Choosers that keep integer scores per shape, and compute anew only those of the rows that changed.

A policy of this kind is a rule: a number for each row that could take the pod, and the devices on the row that wins.
The row with the highest number wins; among equals the lowest row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.fitting import fits
from services.scheduler.domain.policies.interface import Choice, Ranking

UNFIT = int(np.iinfo(np.int64).min)
"""The score of a row that cannot take the pod."""
KEPT_SCORES = 8_000_000
"""Scores that a chooser keeps over all shapes, 64 MiB; the shape asked for longest ago goes first."""


class Rule(Protocol):
    """What a policy with kept scores consists of."""

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """A score for each of the rows, all of which can take the pod, shape (rows,). Of each row by itself."""

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """Indexes of the devices for a pod that asks for some, on a row that can take it, ascending."""


@dataclass(slots=True)
class _Kept:
    """The scores of one shape and when they were right."""

    scores: Ints
    mark: int


class ScoringChooser:
    """A rule at work on one cluster."""

    def __init__(self, cluster: Cluster, rule: Rule) -> None:
        self.memory = ""
        """Nothing: its choices depend on the cluster's present state alone."""
        self._cluster = cluster
        self._rule = rule
        self._kept: dict[Shape, _Kept] = {}

    def best(self, shape: Shape, allowed: Flags | None = None) -> Choice | None:
        """The place for one pod; see `Chooser.best`."""
        scores = self._among(shape, allowed)
        row = int(scores.argmax()) if scores.size else 0
        if not scores.size or scores[row] == UNFIT:
            return None
        devices = self._rule.devices(self._cluster, row, shape) if shape.gpu_count else ()
        return Choice(row, devices, int(scores[row]))

    def ranking(self, shape: Shape, most: int, allowed: Flags | None = None) -> Ranking:
        """The best rows for one pod; see `Chooser.ranking`."""
        scores = self._among(shape, allowed)
        feasible = int(np.count_nonzero(scores != UNFIT))
        left, rows = scores.copy(), np.empty(min(most, feasible), np.int64)
        for place in range(rows.size):
            rows[place] = left.argmax()
            left[rows[place]] = UNFIT
        return Ranking(rows, scores[rows], feasible)

    def saw(self, shape: Shape, pods: int = 1) -> None:
        """Nothing to remember."""

    def forget(self) -> None:
        """Compute all scores anew from now on: the rule changed."""
        self._kept.clear()

    def _among(self, shape: Shape, allowed: Flags | None) -> Ints:
        """Scores of all rows, UNFIT where the pod cannot or may not go, shape (nodes,)."""
        scores = self._scores(shape)
        return scores if allowed is None else np.where(allowed, scores, UNFIT)

    def _scores(self, shape: Shape) -> Ints:
        kept = self._kept.pop(shape, None)
        changed = self._cluster.changed_since(kept.mark) if kept else None
        if kept is None or changed is None:
            kept = _Kept(np.full(len(self._cluster), UNFIT, np.int64), 0)
            changed = np.arange(len(self._cluster))
            self._make_room()
        self._kept[shape] = kept
        kept.mark = self._cluster.mark
        if changed.size:
            kept.scores[changed] = UNFIT
            rows = changed[fits(self._cluster, changed, shape)]
            kept.scores[rows] = self._rule.scores(self._cluster, rows, shape)
        return kept.scores

    def _make_room(self) -> None:
        while self._kept and (len(self._kept) + 1) * len(self._cluster) > KEPT_SCORES:
            del self._kept[next(iter(self._kept))]


class NormalisingChooser(ScoringChooser):
    """A rule whose scores count relative to those of the other rows that could take the pod: 0 the lowest, 100 the
    highest, rounded down in between."""

    def _among(self, shape: Shape, allowed: Flags | None) -> Ints:
        scores = super()._among(shape, allowed)
        fit = scores != UNFIT
        if not fit.any():
            return scores
        lowest, highest = int(scores[fit].min()), int(scores.max())
        span = max(highest - lowest, 1)
        return np.where(fit, (scores - lowest) * 100 // span, UNFIT)
