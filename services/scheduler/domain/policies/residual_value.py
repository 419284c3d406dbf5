"""residual_value: the node, and the device on it, where the least value of what stays free is lost.

What is lost of a node's idle GPU is the GPU that will probably stay idle for ever. Two estimates of it are added:

- what is idle after the node was offered sequences of the pods to expect (`offers`), which knows how pods combine;
- for each class of pods, the mean of what lies on devices too full for one of them (the fragmentation of "Beware of
  Fragmentation", USENIX ATC '23) and of what the class could not use if it alone came, weighted by how scarce room for
  it is in the whole cluster (`scarcity`), which protects the rare and demanding.

Losses count in steps of a tenth of a GPU; within a step the rank of the node decides. docs/decisions/0003 tells what
was tried and what each part is worth.
"""

from __future__ import annotations

import json

import numpy as np

from services.scheduler.domain.nodes.cluster import Cluster, Flags, Ints
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.devices import tightest
from services.scheduler.domain.policies.interface import Chooser
from services.scheduler.domain.policies.offers import Offers, offers_of
from services.scheduler.domain.policies.past import REMEMBERED, past_of, workload_as_json, workload_of
from services.scheduler.domain.policies.residual import STATES, Valuation, best_device, nothing_kept, score
from services.scheduler.domain.policies.scarcity import room_now, room_when_empty, wants_of, weights_of
from services.scheduler.domain.policies.scoring import ScoringChooser
from services.scheduler.domain.policies.workload import classes_of

OFFERED_BLOCKS = 4
"""Blocks after which the sequences of offers are made anew; what a node would be left with is kept meanwhile, which is
most of the work."""
MOVED = 20
"""Weights are found anew with each block. Of the same workload, they count when they moved by one part in so many."""


class ResidualValue:
    """Keeps what is left valuable."""

    name = "residual_value"
    version = "2"
    idea = "least loss of what is left"

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        """The policy at work on `cluster`, with the past and the weights that an earlier chooser left."""
        return ResidualValueChooser(cluster, memory, self._remembered)


class ResidualValueChooser(ScoringChooser):
    """Keeps a table of states, and the weights of the classes since the last block of pods."""

    def __init__(self, cluster: Cluster, memory: str, remembered: int) -> None:
        super().__init__(cluster, self)
        self.memory = memory
        told = json.loads(memory) if memory else {}
        self._past = past_of(told.get("past", {}), remembered)
        self._expected = self._past.workload()
        """The workload of the last block."""
        self._weights: list[int] = told.get("weights", [])
        self._offered = workload_of(told["offered"]) if "offered" in told else self._expected
        """What the sequences of offers are made of: the workload of some blocks ago."""
        self._offered_for: int = told.get("offered_for", 0)
        """Blocks since then."""
        self._nodes = b""
        self._states = nothing_kept()
        self._valuation = self._valued_now(1)

    def saw(self, shape: Shape, pods: int = 1) -> None:
        """Counts the pods; at the end of a block, everything is valued anew if that makes a difference."""
        if not self._past.saw(shape, pods):
            return
        before = self._expected, self._offered
        self._expected, self._offered_for = self._past.workload(), self._offered_for + 1
        if self._past.is_young or self._offered_for >= OFFERED_BLOCKS:
            self._offered, self._offered_for = self._expected, 0
        weights = weights_of(wants_of(classes_of(self._expected), self._cluster), room_now(self._cluster)).tolist()
        if (self._expected, self._offered) != before or _have_moved(self._weights, weights):
            self._weights = weights
            self._expect()
        self._remember()

    def _remember(self) -> None:
        told = {
            "past": self._past.as_json(),
            "weights": self._weights,
            "offered": workload_as_json(self._offered),
            "offered_for": self._offered_for,
        }
        self.memory = json.dumps(told, separators=(",", ":"))

    def scores(self, cluster: Cluster, rows: Ints, shape: Shape) -> Ints:
        """0 where nothing is lost, -1 for each tenth of a GPU."""
        if self._states.taken[0] + rows.size * (cluster.device_free.shape[1] + 1) > STATES * 7 // 10:
            self._states = nothing_kept()
        return score(cluster, rows, shape, self._valuation, self._states)

    def devices(self, cluster: Cluster, row: int, shape: Shape) -> tuple[int, ...]:
        """Of a share, the device where the least is lost, the lowest among equals; else the lowest free ones."""
        if shape.gpu_count != 1:
            return tightest(cluster.device_free[row], shape)
        node = (int(cluster.cpu_free[row]), int(cluster.memory_free[row]), int(cluster.model[row]))
        demand = (shape.cpu_milli, shape.memory_mib, shape.gpu_count, shape.gpu_milli)
        return (int(best_device(node, cluster.device_free[row], demand, self._valuation, self._states)[1]),)

    def _among(self, shape: Shape, allowed: Flags | None) -> Ints:
        """As of every chooser; but first, nodes that came are looked at."""
        has_new_model = int(self._cluster.model.max(initial=-1)) >= self._valuation.wants.allowed.shape[1]
        if has_new_model or (not self._weights and _capacity(self._cluster) != self._nodes):
            self._expect()
        return super()._among(shape, allowed)

    def _expect(self) -> None:
        """Value everything by the workload and the weights of now."""
        before, self._valuation = self._valuation, self._valued_now(self._valuation.epoch + 1)
        if not _are_same(before.offers, self._valuation.offers):
            self._states = nothing_kept()
        self.forget()

    def _valued_now(self, epoch: int) -> Valuation:
        """Before the first block, room is as scarce as on empty nodes: no chooser remembers another state."""
        wants = wants_of(classes_of(self._expected), self._cluster)
        weights = np.array(self._weights, np.int64)
        if not self._weights:
            self._nodes = _capacity(self._cluster)
            weights = weights_of(wants, room_when_empty(self._cluster))
        size_weights = np.add.reduceat(weights, wants.size[:, 2]) if weights.size else weights
        return Valuation(offers_of(classes_of(self._offered), self._cluster), wants, weights, size_weights, epoch)


def _have_moved(before: list[int], now: list[int]) -> bool:
    """Whether weights of the same classes differ by so much that it matters; at first there are none."""
    return not before or MOVED * sum(abs(one - other) for one, other in zip(before, now, strict=True)) > sum(before)


def _capacity(cluster: Cluster) -> bytes:
    """All that the weights before the first block depend on."""
    arrays = (cluster.is_open, cluster.cpu[0], cluster.memory[0], cluster.model, cluster.device_count)
    return b"".join(array.tobytes() for array in arrays)


def _are_same(some: Offers, others: Offers) -> bool:
    """Whether a node would be left with the same after both."""
    return all(np.array_equal(getattr(some, name), getattr(others, name)) for name in Offers._fields)
