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
from services.scheduler.domain.policies.scarcity import (
    Wants,
    bounded,
    order_of,
    room_now,
    room_when_empty,
    wants_of,
    weights_of,
)
from services.scheduler.domain.policies.scoring import ScoringChooser
from services.scheduler.domain.policies.workload import Workload, classes_of

OFFERED_BLOCKS = 4
"""Blocks after which the sequences of offers are made anew; what a node would be left with is kept meanwhile, which is
most of the work."""
LOOKED_AT = 64
"""The weights are looked at with each block, and whenever as many pods were asked for as one in so many devices of the
cluster: what is scarce changes fast when a cluster is nearly full."""
FEWEST_PODS = 20
"""Between two looks, on a small cluster."""
MOVED = 20
"""Everything is valued anew when the weights moved by one part in so many; less makes no difference."""


class ResidualValue:
    """Keeps what is left valuable."""

    name = "residual_value"
    version = "3"
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
        self._expected = workload_of(told["expected"]) if "expected" in told else self._past.workload()
        """The workload by which everything is valued."""
        self._weights: list[int] = told.get("weights", [])
        """Of its classes; empty before the first block."""
        self._offered = workload_of(told["offered"]) if "offered" in told else self._expected
        """What the sequences of offers are made of: the workload of some blocks ago."""
        self._offered_for: int = told.get("offered_for", 0)
        """Blocks since then."""
        self._unlooked = 0
        """Pods since the weights were looked at; the memory is written then, so a new chooser begins with none."""
        self._empty: tuple[Workload, bytes, Ints] = {}, b"", np.empty(0, np.int64)
        """What the weights of a workload are on these nodes when they are empty."""
        self._states = nothing_kept()
        self._valuation = self._valued_now(1)

    def saw(self, shape: Shape, pods: int = 1) -> None:
        """Counts the pods, and looks at the weights now and then."""
        is_block = self._past.saw(shape, pods)
        self._unlooked += pods
        if is_block or (self._weights and self._unlooked >= self._look_after()):
            self._look(is_block)

    def _look_after(self) -> int:
        return max(FEWEST_PODS, int(self._cluster.device_count.sum()) // LOOKED_AT)

    def _look(self, is_block: bool) -> None:
        """Value everything anew by the workload and the weights of now, if they are others than before."""
        workload = self._past.workload() if is_block else self._expected
        wants = wants_of(classes_of(workload), self._cluster)
        weights = bounded(weights_of(wants, room_now(self._cluster)), self._when_empty(workload, wants)).tolist()
        self._offered_for += is_block
        if not self._weights or _have_moved(_by_shape(self._expected, self._weights), _by_shape(workload, weights)):
            self._expected, self._weights = workload, weights
            if self._past.is_young or self._offered_for >= OFFERED_BLOCKS:
                self._offered, self._offered_for = workload, 0
            self._expect()
        self._remember()

    def _remember(self) -> None:
        self._unlooked = 0
        told = {
            "past": self._past.as_json(),
            "expected": workload_as_json(self._expected),
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
        if has_new_model or (not self._weights and _capacity(self._cluster) != self._empty[1]):
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
        weights = np.array(self._weights, np.int64) if self._weights else self._when_empty(self._expected, wants)
        size_weights = np.add.reduceat(weights, wants.size[:, 2]) if weights.size else weights
        return Valuation(offers_of(classes_of(self._offered), self._cluster), wants, weights, size_weights, epoch)

    def _when_empty(self, workload: Workload, wants: Wants) -> Ints:
        nodes = _capacity(self._cluster)
        if self._empty[:2] != (workload, nodes):
            self._empty = workload, nodes, weights_of(wants, room_when_empty(self._cluster))
        return self._empty[2]


def _by_shape(workload: Workload, weights: list[int]) -> dict[Shape, int]:
    """The weights of a workload's classes."""
    classes = classes_of(workload)
    return {classes.shapes[number]: weight for number, weight in zip(order_of(classes), weights, strict=True)}


def _have_moved(before: dict[Shape, int], now: dict[Shape, int]) -> bool:
    """Whether weights differ by so much that it matters."""
    moved = sum(abs(before.get(shape, 0) - now.get(shape, 0)) for shape in before.keys() | now.keys())
    return MOVED * moved > sum(before.values())


def _capacity(cluster: Cluster) -> bytes:
    """All that the weights before the first block depend on."""
    arrays = (cluster.is_open, cluster.cpu[0], cluster.memory[0], cluster.model, cluster.device_count)
    return b"".join(array.tobytes() for array in arrays)


def _are_same(some: Offers, others: Offers) -> bool:
    """Whether a node would be left with the same after both."""
    return all(np.array_equal(getattr(some, name), getattr(others, name)) for name in Offers._fields)
