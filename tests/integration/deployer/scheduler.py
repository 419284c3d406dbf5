"""A small scheduler for one deployment, on the real topics."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from schemas.base import EventData
from schemas.deployment import DeploymentRequested
from schemas.node import NodeEvent, NodeRemoved
from schemas.placement import (
    CapacityLost,
    CapacityReleased,
    CapacityReserved,
    DecisionRecord,
    LossReason,
    PreemptionReason,
    PreemptionRequested,
    ReleaseCapacity,
    ReserveCapacity,
)
from schemas.resources import Allocation
from schemas.topics import DEPLOYMENT_EVENTS, NODE_EVENTS, PLACEMENT_COMMANDS
from services.kit.ids import new_id
from tests.integration.deployer.log import Listening, Telling

GPUS_PER_NODE = 8
NODES = 4


class SmallScheduler:
    """Answers reservations of one deployment with free devices, and notices what must never be asked of it."""

    def __init__(self, bootstrap: str, deployment: UUID, telling: Telling) -> None:
        self.held: dict[UUID, tuple[Allocation, ...]] = {}
        self.released: Counter[UUID] = Counter()
        self.given_back: list[tuple[int, ...]] = []
        """Parts of reservations that were released."""
        self.faults: list[str] = []
        self._deployment = deployment
        self._telling = telling
        self._listening = Listening(bootstrap, DEPLOYMENT_EVENTS, PLACEMENT_COMMANDS, NODE_EVENTS)
        self._free = [(f"n{node}", device) for node in range(NODES) for device in range(GPUS_PER_NODE)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="small scheduler")
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._stopping.set()
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            event = self._listening.poll()
            if event is not None and event.data.key == str(self._deployment):
                self._take(event.data)
            elif event is not None and isinstance(event.data, NodeEvent):
                self._meet(event.data)

    def preempt(self, identity: UUID, replicas: tuple[int, ...]) -> None:
        """Ask these replicas to drain."""
        self._telling.tell(
            PreemptionRequested(
                reservation_id=identity,
                deployment_id=self._deployment,
                decision=decision(),
                replicas=replicas,
                gpu_milli=1000 * len(replicas),
                reason=PreemptionReason.PRIORITY,
                claimant=new_id(),
                detail="for the test",
            )
        )

    def _meet(self, data: NodeEvent) -> None:
        """What was on a node or a device that is no more is lost, and placed again at once."""
        failed = range(GPUS_PER_NODE) if isinstance(data, NodeRemoved) else getattr(data, "failed_devices", ())
        bad = {(data.node, device) for device in failed}
        self._free = [place for place in self._free if place not in bad]
        for identity, places in list(self.held.items()):
            lost = tuple(place.replica for place in places if (place.node, place.devices[0]) in bad)
            if lost and not self.released[identity]:
                self._move(identity, lost)

    def _move(self, identity: UUID, lost: tuple[int, ...]) -> None:
        common: dict[str, Any] = {"reservation_id": identity, "deployment_id": self._deployment, "decision": decision()}
        why: dict[str, Any] = {"reason": LossReason.DEVICE_FAILED, "detail": "for the test"}
        self._telling.tell(CapacityLost(**common, replicas=lost, gpu_milli=1000 * len(lost), **why))
        kept = [place for place in self.held[identity] if place.replica not in lost]
        moved = [self._allocation(number) for number in lost]
        self.held[identity] = tuple(sorted(kept + moved, key=lambda place: place.replica))
        self._telling.tell(
            CapacityReserved(
                **common, revision=1, stage=0, allocations=self.held[identity], gpu_milli=1000 * len(kept + moved)
            )
        )

    def _allocation(self, replica: int) -> Allocation:
        node, device = self._free.pop(0)
        return Allocation(replica=replica, node=node, devices=(device,), gpu_milli=1000)

    def _take(self, data: EventData) -> None:
        if isinstance(data, DeploymentRequested):
            self._reserve(data.reservation_id, data.revision, 0, data.first_stage_replicas)
        elif isinstance(data, ReserveCapacity):
            self._reserve(data.reservation_id, data.revision, data.stage, data.replicas)
        elif isinstance(data, ReleaseCapacity):
            self._release(data)

    def _reserve(self, identity: UUID, revision: int, stage: int, replicas: int) -> None:
        if identity in self.held:
            self.faults.append(f"{identity} was asked for twice")
            return
        self.held[identity] = tuple(self._allocation(number) for number in range(replicas))
        self._telling.tell(
            CapacityReserved(
                reservation_id=identity,
                deployment_id=self._deployment,
                decision=decision(),
                revision=revision,
                stage=stage,
                allocations=self.held[identity],
                gpu_milli=1000 * replicas,
            )
        )

    def _release(self, data: ReleaseCapacity) -> None:
        if data.replicas:
            self._release_part(data)
            return
        self.released[data.reservation_id] += 1
        if self.released[data.reservation_id] > 1 or data.reservation_id not in self.held:
            self.faults.append(f"{data.reservation_id} was released without need")
            return
        # In front: the next reservation gets these at once, and shows whether a pod is still on them.
        self._free[:0] = [(place.node, place.devices[0]) for place in self.held[data.reservation_id]]
        self._telling.tell(
            CapacityReleased(
                reservation_id=data.reservation_id,
                deployment_id=self._deployment,
                decision=decision(),
                gpu_milli=1000,
                reason=data.reason,
            )
        )

    def _release_part(self, data: ReleaseCapacity) -> None:
        places = self.held[data.reservation_id]
        back = [place for place in places if place.replica in data.replicas]
        if len(back) != len(data.replicas):
            self.faults.append(f"{data.replicas} of {data.reservation_id} were released without need")
        self.held[data.reservation_id] = tuple(place for place in places if place not in back)
        self._free[:0] = [(place.node, place.devices[0]) for place in back]
        self.given_back.append(data.replicas)
        self._telling.tell(
            CapacityReleased(
                reservation_id=data.reservation_id,
                deployment_id=self._deployment,
                decision=decision(),
                gpu_milli=1000 * len(back),
                reason=data.reason,
                replicas=data.replicas,
            )
        )


def decision() -> DecisionRecord:
    """Something in the place of an audit record."""
    return DecisionRecord(
        pool="default",
        number=1,
        policy="test",
        policy_version="1",
        decided_at=datetime.now(UTC),
        input_id="i",
        input_position="t/0/1",
    )
