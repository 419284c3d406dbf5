"""Keeps one pod per slot of each workload, as a kubelet and a Deployment's controller would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from loguru import logger
from pydantic import BaseModel, ConfigDict, Field

from infra.local.simulators.behaviour import Behaviours
from infra.local.simulators.nodes import Nodes
from infra.local.simulators.pod import PodSpec, SimulatedPod
from infra.local.simulators.settings import SimulatorSettings
from schemas import mig

WHOLE_DEVICE_MILLI = 1000

WorkloadKey = tuple[str, int]
"""Deployment and revision."""


class ConflictError(Exception):
    """The write named another version than the present one."""


class Slot(BaseModel):
    """The place of one pod."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reservation_id: str
    replica: int = Field(ge=0)
    worker: int = Field(default=0, ge=0)
    """Number of the pod within its replica: a gang has several, and the first one answers for all."""
    node: str
    devices: tuple[int, ...] = ()
    gpu_milli: int = Field(default=0, ge=0, le=WHOLE_DEVICE_MILLI)
    mig_profile: str = ""
    mig_start: int | None = None

    @property
    def of(self) -> tuple[str, int]:
        """The replica that it is a part of."""
        return self.reservation_id, self.replica

    @property
    def slice(self) -> frozenset[int]:
        """Memory slices of its device that it takes; none when the device is not cut."""
        if self.mig_start is None:
            return frozenset()
        sizes = {profile.name: profile.size for kind in mig.PROFILES.values() for profile in kind}
        return frozenset(range(self.mig_start, self.mig_start + sizes[self.mig_profile]))


class WorkloadSpec(BaseModel):
    """What is wanted of one revision."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    version: str
    slots: tuple[Slot, ...] = ()


@dataclass
class Workload:
    """One revision's pods, wanted and there."""

    spec: WorkloadSpec
    version: int = 1
    is_ending: bool = False
    pods: dict[SimulatedPod, Slot] = field(default_factory=dict)
    """Every pod that exists, with its slot; ending ones included."""

    def as_json(self, revision: int) -> dict[str, object]:
        """The workload as the control API shows it."""
        return {
            "revision": revision,
            "version": self.version,
            "slots": [slot.model_dump() for slot in self.spec.slots],
            "pods": len(self.pods),
            "ready": sum(pod.is_ready for pod in self.pods),
            "running": [{"slot": slot.model_dump(), "is_ready": pod.is_ready} for pod, slot in self.pods.items()],
        }

    def endpoints(self) -> list[SimulatedPod]:
        """Pods that requests may go to: the first one of each replica of which every pod is ready."""
        up = {slot for pod, slot in self.pods.items() if pod.is_ready}
        down = {slot.of for slot in self.spec.slots if slot not in up}
        return [pod for pod, slot in self.pods.items() if pod.is_ready and slot.worker == 0 and slot.of not in down]


class Workloads:
    """All workloads of the simulated cluster."""

    def __init__(self, nodes: Nodes, behaviours: Behaviours, settings: SimulatorSettings) -> None:
        self.overcommits: list[str] = []
        """Devices that were given to more pods than they hold, in words; must stay empty."""
        self._nodes = nodes
        nodes.changed = self.meet_nodes
        self._behaviours = behaviours
        self._settings = settings
        self._workloads: dict[WorkloadKey, Workload] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._made = 0
        self._is_closing = False

    def of(self, deployment: str) -> dict[int, Workload]:
        """The deployment's workloads by revision; a deleted one is here until its last pod is gone."""
        return {key[1]: workload for key, workload in self._workloads.items() if key[0] == deployment}

    def pods(self) -> list[SimulatedPod]:
        """Every pod that exists."""
        return [pod for workload in self._workloads.values() for pod in workload.pods]

    def ready_pods(self, deployment: str, revision: int) -> list[SimulatedPod]:
        """The pods of a revision that requests may go to."""
        workload = self._workloads.get((deployment, revision))
        return workload.endpoints() if workload else []

    def apply(self, key: WorkloadKey, spec: WorkloadSpec, if_version: int) -> None:
        """Create (`if_version` 0) or change a workload; raises `ConflictError`. The same again changes nothing."""
        workload = self._workloads.get(key)
        present = workload.version if workload else 0
        if present != if_version or (workload and workload.is_ending):
            raise ConflictError(f"workload {key} is at version {present}, not {if_version}")
        if workload is None:
            workload = self._workloads[key] = Workload(spec)
        elif workload.spec != spec:
            workload.spec, workload.version = spec, workload.version + 1
        self._reconcile(key, workload)

    def delete(self, key: WorkloadKey) -> None:
        """End a workload's pods; nothing happens when there is none."""
        workload = self._workloads.get(key)
        if workload:
            workload.is_ending = True
            self._reconcile(key, workload)

    def meet_nodes(self) -> None:
        """Nodes changed: pods on lost ones die, on broken devices they stop, and those that waited for a node start."""
        for pod in self.pods():
            pod.is_broken = not self._nodes.works(pod.spec.node, pod.spec.devices)
            if not self._nodes.is_there(pod.spec.node):
                pod.die()
        for key, workload in list(self._workloads.items()):
            self._reconcile(key, workload)

    async def close(self) -> None:
        """End everything at once."""
        self._is_closing = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _reconcile(self, key: WorkloadKey, workload: Workload) -> None:
        wanted = set() if workload.is_ending else set(workload.spec.slots)
        for pod, slot in workload.pods.items():
            if slot not in wanted:
                pod.end()
        for slot in wanted - set(workload.pods.values()):
            self._note_wrong_place(slot)
            if self._nodes.is_there(slot.node):
                self._start(key, workload, slot)
        if workload.is_ending and not workload.pods:
            self._workloads.pop(key, None)

    def _start(self, key: WorkloadKey, workload: Workload, slot: Slot) -> None:
        self._made += 1
        spec = PodSpec(*key, workload.spec.model, workload.spec.version, slot.node, slot.devices, slot.gpu_milli)
        pod = SimulatedPod(f"{workload.spec.model}-{key[1]}-{self._made}", spec, self._behaviours, self._settings)
        pod.is_broken = not self._nodes.works(slot.node, slot.devices)
        workload.pods[pod] = slot
        self._note_overcommits(slot)
        task = asyncio.create_task(self._run(key, workload, pod), name=pod.name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, key: WorkloadKey, workload: Workload, pod: SimulatedPod) -> None:
        try:
            await pod.run()
        finally:
            del workload.pods[pod]
            if not self._is_closing:
                self._reconcile(key, workload)

    def _note_overcommits(self, slot: Slot) -> None:
        """A device under two pods that need more than it has is a fault of whoever controls us: say so, loudly."""
        for device in slot.devices:
            if (taken := sum(self._taken(slot.node, device))) > WHOLE_DEVICE_MILLI:
                self._note(f"{slot.node}/{device} carries {taken} of {WHOLE_DEVICE_MILLI} milli-GPU")
            slices = [other.slice for other in self._on(slot.node, device)]
            if any(slices) and len(set().union(*slices)) < sum(max(1, len(part)) for part in slices):
                self._note(f"{slot.node}/{device} is cut, and its slices overlap or something uncut is beside them")

    def _note_wrong_place(self, slot: Slot) -> None:
        if not self._nodes.has(slot.node, slot.devices):
            self._note(f"{slot.node} has no devices {slot.devices}")

    def _note(self, fault: str) -> None:
        self.overcommits.append(fault)
        logger.error("overcommitted: {}", fault)

    def _on(self, node: str, device: int) -> Iterator[Slot]:
        for workload in self._workloads.values():
            for slot in workload.pods.values():
                if slot.node == node and device in slot.devices:
                    yield slot

    def _taken(self, node: str, device: int) -> Iterator[int]:
        return (slot.gpu_milli for slot in self._on(node, device))
