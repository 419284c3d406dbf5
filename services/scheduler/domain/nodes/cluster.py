"""The nodes of a pool as numpy arrays: what is there, what is taken, what is free.

Row = node, in the order in which the nodes were first observed; that order is the rank which breaks ties. Columns of
the device arrays are device indexes; a device that a node lacks, or that is broken, has -1 free, so that nothing ever
fits it, and one that is cut into MIG slices has nothing free for whole or shared use until its last slice is gone.

What is kept for somebody (`hold`) is free for nobody, though others may still be on it: then it is free when they go.
Whoever keeps something computed from rows asks `changed_since` which of them to compute anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from schemas.mig import profile_of
from schemas.resources import WHOLE_GPU_MILLI, Allocation, Resources
from services.scheduler.domain.model import Node

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

ABSENT = -1
"""Free thousandths of a device that does not exist or is broken."""
MOST_DEVICES = 8
"""Of one pod."""
LONGEST_JOURNAL = 100_000
"""Changes that are remembered; who asks for older ones computes everything anew."""
COPIED = (
    "cpu",
    "memory",
    "device_taken",
    "device_slices",
    "cpu_held",
    "memory_held",
    "device_held",
    "slices_held",
    "pods",
    "cpu_free",
    "memory_free",
    "device_free",
    "gpu_free",
)
"""Arrays that `take` and `give` write to."""


class Cluster:
    """The capacity of one pool. `free` arrays are derived; `take` and `give` are each other's inverse."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: list[Node] = []
        """In rank order."""
        self.row_of: dict[str, int] = {}
        """Row of a node by its name."""
        self._models: dict[str, int] = {}
        self.model: Ints = np.empty(0, np.int64)
        """Code of the GPU model, shape (nodes,); see `model_codes`."""
        self.zone: Ints = np.empty(0, np.int64)
        """Code of the zone, shape (nodes,)."""
        self._zones: dict[str, int] = {}
        self.is_open: Flags = np.empty(0, np.bool_)
        """Whether the node is there and takes something new, shape (nodes,)."""
        self.cpu: Ints = np.empty((2, 0), np.int64)
        """Thousandths of a core: [total, taken], shape (2, nodes)."""
        self.memory: Ints = np.empty((2, 0), np.int64)
        """MiB: [total, taken], shape (2, nodes)."""
        self.device_count: Ints = np.empty(0, np.int64)
        self.device_taken: Ints = np.empty((0, 1), np.int64)
        """Thousandths taken of each device, shape (nodes, devices)."""
        self.device_slices: Ints = np.empty((0, 1), np.int64)
        """Memory slices that MIG slices occupy on each device, as bits; 0 = not cut. Shape (nodes, devices)."""
        self.cpu_held: Ints = np.empty(0, np.int64)
        self.memory_held: Ints = np.empty(0, np.int64)
        self.device_held: Ints = np.empty((0, 1), np.int64)
        self.slices_held: Ints = np.empty((0, 1), np.int64)
        """Kept for somebody, in the units and shapes of what is taken."""
        self.pods: Ints = np.empty((0, MOST_DEVICES + 1), np.int64)
        """Pods on the node by how many whole devices they have; those with a share of one at 0. Shape (nodes, 9)."""
        self.cpu_free: Ints = np.empty(0, np.int64)
        self.memory_free: Ints = np.empty(0, np.int64)
        self.device_free: Ints = np.empty((0, 1), np.int64)
        """Thousandths free of each device, ABSENT where there is none, shape (nodes, devices)."""
        self.gpu_free: Ints = np.empty(0, np.int64)
        """Thousandths free over all devices of the node, shape (nodes,)."""
        self._journal: list[int] = []
        self._journal_start = 0
        self._add(list(nodes))

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def present(self) -> int:
        """Nodes that take requests."""
        return int(self.is_open.sum())

    def model_milli(self) -> dict[str, int]:
        """Thousandths of a GPU that the open nodes have, by model; broken devices are not counted."""
        broken = np.array([len(node.failed_devices) for node in self.nodes], np.int64)
        whole = np.where(self.is_open, (self.device_count - broken) * WHOLE_GPU_MILLI, 0)
        return {name: int(whole[self.model == code].sum()) for name, code in self._models.items() if name}

    @property
    def mark(self) -> int:
        """The present moment, for `changed_since`."""
        return self._journal_start + len(self._journal)

    def changed_since(self, mark: int) -> Ints | None:
        """Rows that changed since then, each once; None when all must be taken as changed, as after a node came."""
        if mark < self._journal_start:
            return None
        return np.array(sorted(set(self._journal[mark - self._journal_start :])), np.int64)

    def model_codes(self, names: Sequence[str]) -> list[int]:
        """Codes of those of the named GPU models that any node has or had."""
        return [self._models[name] for name in names if name in self._models]

    def observe(self, node: Node) -> None:
        """Add the node, or set its capacity anew; what is taken of it stays taken."""
        row = self.row_of.get(node.name)
        if row is None:
            self._add([node])
        else:
            self._set(row, node)
            self._refresh(row)

    def take(self, resources: Resources, *allocations: Allocation) -> None:
        """Take each pod's demand off the node of its allocation. Raises `KeyError` for an unknown node."""
        self._each(self._change, resources, allocations, 1)

    def give(self, resources: Resources, *allocations: Allocation) -> None:
        """Give back what `take` took."""
        self._each(self._change, resources, allocations, -1)

    def hold(self, resources: Resources, *allocations: Allocation) -> None:
        """Keep the place for each pod, whoever may still be on it."""
        self._each(self._keep, resources, allocations, 1)

    def let_go(self, resources: Resources, *allocations: Allocation) -> None:
        """End what `hold` began."""
        self._each(self._keep, resources, allocations, -1)

    def can_take(self, resources: Resources, allocation: Allocation) -> bool:
        """Whether that very place is free now, and its node takes something new."""
        row = self.row_of.get(allocation.node)
        if row is None or not self.is_open[row]:
            return False
        if self.cpu_free[row] < resources.cpu_milli or self.memory_free[row] < resources.memory_mib:
            return False
        if any(device >= self.device_free.shape[1] for device in allocation.devices):
            return False
        if allocation.mig_start is None:
            return all(self.device_free[row, device] >= allocation.gpu_milli for device in allocation.devices)
        device = allocation.devices[0]
        slices = int(self.device_slices[row, device] | self.slices_held[row, device])
        is_idle = bool(self.device_free[row, device] == WHOLE_GPU_MILLI)
        return (is_idle or bool(self.takes_slices[row, device])) and slices & self._mask(row, allocation) == 0

    @property
    def takes_slices(self) -> Flags:
        """Devices that are cut, or kept for slices, and neither broken nor in whole or shared use by anybody nor kept
        for that, shape (nodes, devices). An idle device is none of them: it would have to be cut."""
        is_cut = (self.device_slices != 0) | ((self.slices_held != 0) & (self.device_taken == 0))
        return np.asarray(is_cut & (self.device_held == 0) & (self.device_free != ABSENT), np.bool_)

    def copy(self) -> Cluster:
        """A working copy whose capacity can be taken without touching this one; nodes are shared."""
        other = object.__new__(Cluster)
        other.__dict__.update(self.__dict__)
        for name in COPIED:
            setattr(other, name, getattr(self, name).copy())
        other._journal = []
        other._journal_start = 0
        return other

    def _each(
        self,
        change: Callable[[Resources, Allocation, int, int], None],
        resources: Resources,
        allocations: Sequence[Allocation],
        sign: int,
    ) -> None:
        """Change all, and then refresh each row once."""
        rows = [self.row_of[allocation.node] for allocation in allocations]
        for row, allocation in zip(rows, allocations, strict=True):
            change(resources, allocation, row, sign)
        for row in dict.fromkeys(rows):
            self._refresh(row)

    def _change(self, resources: Resources, allocation: Allocation, row: int, sign: int) -> None:
        self.cpu[1, row] += sign * resources.cpu_milli
        self.memory[1, row] += sign * resources.memory_mib
        if allocation.devices:
            whole = len(allocation.devices) if allocation.gpu_milli == WHOLE_GPU_MILLI else 0
            self.pods[row, whole] += sign
            self._widen(max(allocation.devices) + 1)
            for device in allocation.devices:
                self.device_taken[row, device] += sign * allocation.gpu_milli
            if allocation.mig_start is not None:
                self.device_slices[row, allocation.devices[0]] += sign * self._mask(row, allocation)

    def _keep(self, resources: Resources, allocation: Allocation, row: int, sign: int) -> None:
        self.cpu_held[row] += sign * resources.cpu_milli
        self.memory_held[row] += sign * resources.memory_mib
        if allocation.devices:
            self._widen(max(allocation.devices) + 1)
            if allocation.mig_start is not None:
                self.slices_held[row, allocation.devices[0]] += sign * self._mask(row, allocation)
            else:
                for device in allocation.devices:
                    self.device_held[row, device] += sign * allocation.gpu_milli

    def _mask(self, row: int, allocation: Allocation) -> int:
        """The memory slices of the allocation as bits. Slices neither move nor overlap, so sums of bits are unions."""
        profile = profile_of(self.nodes[row].gpu_model, allocation.mig_profile)
        if profile is None or allocation.mig_start is None:
            raise ValueError(f"{allocation.node} has no MIG profile {allocation.mig_profile!r}")
        return profile.mask(allocation.mig_start)

    def _add(self, nodes: list[Node]) -> None:
        first, more = len(self.nodes), len(nodes)
        self.model = np.append(self.model, np.zeros(more, np.int64))
        self.zone = np.append(self.zone, np.zeros(more, np.int64))
        self.is_open = np.append(self.is_open, np.zeros(more, np.bool_))
        self.device_count = np.append(self.device_count, np.zeros(more, np.int64))
        for name in ("cpu", "memory"):
            setattr(self, name, np.append(getattr(self, name), np.zeros((2, more), np.int64), axis=1))
        for name in ("cpu_free", "memory_free", "gpu_free", "cpu_held", "memory_held"):
            setattr(self, name, np.append(getattr(self, name), np.zeros(more, np.int64)))
        for name in ("device_taken", "device_slices", "device_held", "slices_held", "device_free", "pods"):
            array = getattr(self, name)
            setattr(self, name, np.append(array, np.zeros((more, array.shape[1]), np.int64), axis=0))
        self.nodes.extend(nodes)
        for row, node in enumerate(nodes, first):
            self.row_of[node.name] = row
            self._set(row, node)
            self._refresh(row)
        self._forget()

    def _set(self, row: int, node: Node) -> None:
        self._widen(node.gpu_count)
        self.nodes[row] = node
        self.model[row] = self._models.setdefault(node.gpu_model, len(self._models))
        self.zone[row] = self._zones.setdefault(node.zone, len(self._zones))
        self.is_open[row] = node.is_present and not node.is_cordoned
        self.cpu[0, row] = node.cpu_milli
        self.memory[0, row] = node.memory_mib
        self.device_count[row] = node.gpu_count

    def _widen(self, devices: int) -> None:
        missing = devices - self.device_taken.shape[1]
        if missing > 0:
            pad = ((0, 0), (0, missing))
            self.device_taken = np.pad(self.device_taken, pad)
            self.device_slices = np.pad(self.device_slices, pad)
            self.device_held = np.pad(self.device_held, pad)
            self.slices_held = np.pad(self.slices_held, pad)
            self.device_free = np.pad(self.device_free, pad, constant_values=ABSENT)
            self._forget()

    def _refresh(self, row: int) -> None:
        self.cpu_free[row] = self.cpu[0, row] - self.cpu[1, row] - self.cpu_held[row]
        self.memory_free[row] = self.memory[0, row] - self.memory[1, row] - self.memory_held[row]
        count = int(self.device_count[row])
        free = self.device_free[row]
        free[count:] = ABSENT
        here = free[:count]
        np.subtract(WHOLE_GPU_MILLI, self.device_taken[row, :count], out=here)
        here -= self.device_held[row, :count]
        here[(here < 0) | (self.device_slices[row, :count] + self.slices_held[row, :count] != 0)] = 0
        self.gpu_free[row] = here.sum()
        for device in self.nodes[row].failed_devices:
            if device < count:
                self.gpu_free[row] -= here[device]
                here[device] = ABSENT
        self._journal.append(row)
        if len(self._journal) > LONGEST_JOURNAL:
            self._forget()

    def _forget(self) -> None:
        """Let everybody compute everything anew: the arrays have another shape, or the journal is long."""
        self._journal_start += len(self._journal) + 1
        self._journal.clear()
