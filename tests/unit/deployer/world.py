"""A deployer, a cluster, a scheduler and a clock, all in hand; every pass is checked against what must never happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid5

from prometheus_client import REGISTRY

from schemas.base import EventData
from schemas.deployment import Canary, DeploymentSpec, Gates
from schemas.resources import Resources
from schemas.rollout import Measurement, RolloutEvent
from services.deployer.domain.capacity import replicas_at
from services.deployer.domain.model import Rollout
from services.deployer.domain.observation import CommandKind, Request
from services.deployer.domain.revision import Slot
from services.deployer.domain.transition import Limits
from services.deployer.entrypoints.rollouts import RolloutOwner
from services.deployer.ports import Workload
from services.kit.clock import HeldClock
from services.kit.messaging.origin import Origin
from services.kit.persistence.leases import Lease
from tests.fakes.deployer.cluster import InMemoryCluster, InMemoryMetrics
from tests.fakes.deployer.stores import InMemoryRolloutStore
from tests.unit.deployer.scheduler import DEPLOYMENT as DEPLOYMENT
from tests.unit.deployer.scheduler import NAMES, WorldScheduler

TENANT = uuid5(NAMES, "tenant")
LEASE = Lease("rollouts:0", "test", 1)
LIMITS = Limits(scale_down_delay_seconds=5, capacity_deadline_seconds=600, progress_deadline_seconds=300)
OBSERVE_SECONDS = 10.0
GOOD = Measurement(requests=100, errors=0, latency_p99_ms=20)
BAD = Measurement(requests=100, errors=40, latency_p99_ms=20)
SILENT = Measurement(requests=3, errors=0, latency_p99_ms=20)

EventT = TypeVar("EventT", bound=EventData)


def spec_of(version: str, replicas: int = 4, **fields: Any) -> DeploymentSpec:
    """A deployment of `version`, watched for ten seconds a stage."""
    return DeploymentSpec(
        name="chat",
        model="llama",
        version=version,
        replicas=replicas,
        resources=Resources(gpu_count=1, gpu_milli=1000, cpu_milli=1000, memory_mib=1024),
        canary=Canary(observe_seconds=OBSERVE_SECONDS),
        gates=Gates(min_samples=20),
        **fields,
    )


FAILED_PASSES = "taxiway_deployer_failed_passes_total"


def failed_passes(shard: str = "0") -> float:
    """Passes that failed unexpectedly, of all owners of this process."""
    alone = REGISTRY.restricted_registry([FAILED_PASSES])  # to collect all metrics takes longer than a pass
    samples = (sample for metric in alone.collect() for sample in metric.samples)
    return sum(each.value for each in samples if each.name == FAILED_PASSES and each.labels == {"shard": shard})


def stage_zero(revision: int) -> UUID:
    """The first stage's reservation."""
    return uuid5(NAMES, f"reservation/{revision}")


class WatchedCluster(InMemoryCluster):
    """Notices weight that is raised on a side without a ready pod, and pods that end under the traffic they have.

    An owner takes any error for a reason to stand still, so what was noticed is kept for the test to see.
    """

    faults: list[str]
    may_end: Callable[[Slot], bool]
    """Whether a pod may end although no other is ready: its place was lost, or its time to drain is over."""

    async def apply(self, workload: Workload, if_version: int) -> None:
        view = self.view(workload.deployment_id)
        before = view.workloads.get(workload.revision)
        if before and view.carries(workload.revision) and not before.ready_among(workload.slots):
            ending = set(before.slots) - set(workload.slots)
            taken = [slot for slot in ending if before.ready_among([slot]) and not self.may_end(slot)]
            self._note(bool(taken), f"the last ready pods of revision {workload.revision} are ended under traffic")
        await super().apply(workload, if_version)

    async def set_route(self, deployment_id: UUID, weights: Mapping[int, int], if_generation: int) -> None:
        view = self.view(deployment_id)
        for revision, share in weights.items():
            rises = share > view.route.weights.get(revision, 0)
            self._note(rises and not view.ready(revision), f"weight on revision {revision} without a ready pod")
        self._note(bool(weights) and sum(weights.values()) != 100, f"weights {weights}")
        await super().set_route(deployment_id, weights, if_generation)

    async def delete(self, deployment_id: UUID, revision: int) -> None:
        carries = self.view(deployment_id).carries(revision)
        self._note(carries, f"pods of revision {revision} are ended before the route is read back without it")
        await super().delete(deployment_id, revision)

    def _note(self, is_fault: bool, what: str) -> None:
        if is_fault:
            self.faults.append(what)


class World:
    """Everything one deployment meets."""

    def __init__(self) -> None:
        self.clock = HeldClock(datetime(2026, 3, 1, tzinfo=UTC))
        self.cluster = WatchedCluster(self.clock)
        self.metrics = InMemoryMetrics()
        self.metrics.of = dict.fromkeys(range(1, 100), GOOD)
        self.store = InMemoryRolloutStore()
        self.scheduler = WorldScheduler(self.store, self.cluster)
        self.cluster.may_end = self._may_end
        self.cluster.faults = []
        self.may_fail = False
        """Whether a pass may fail unexpectedly."""

    @property
    def rollout(self) -> Rollout:
        """The stored state."""
        return self.store.rollout(DEPLOYMENT)

    def _may_end(self, slot: Slot) -> bool:
        """A drain is excused by its time; whoever has no drain in the state lost its place."""
        revisions = (self.rollout.stable, self.rollout.canary)
        held = [held for revision in revisions if revision for held in revision.reservations]
        drains = [drain for one in held if one.reservation_id == slot.reservation_id for drain in one.draining]
        of_slot = [drain for drain in drains if drain.replica == slot.replica]
        return all(drain.end_at <= self.clock.now() for drain in of_slot)

    async def request(self, revision: int, *, replicas: int = 4, **fields: Any) -> None:
        """A revision is asked for, as the ingest service does it."""
        spec = spec_of(f"v{revision}", replicas, **fields)
        first = replicas if revision == 1 else replicas_at(spec.canary.weights[0], replicas)
        request = Request(revision, spec, stage_zero(revision), first)
        await self.store.request(None, DEPLOYMENT, request, Origin(TENANT, "key:ab", f"request-{revision}", "event-1"))
        self.scheduler.ask(stage_zero(revision), first)

    async def command(self, kind: CommandKind, reason: str = "because") -> None:
        """A person asks something."""
        await self.store.command(None, DEPLOYMENT, kind, reason, Origin(TENANT, "user:ada", "c", "c"))

    async def tick(self) -> None:
        """One pass by an owner that remembers nothing, and the scheduler's answers."""
        owner = RolloutOwner(
            0, self.store, self.cluster, self.metrics, self.clock, LIMITS, wake=asyncio.Event(), resync_seconds=1e9
        )
        failures = failed_passes()
        await owner.tick(LEASE)
        assert self.may_fail or failed_passes() == failures, "a pass failed: see the log"
        assert not self.cluster.faults
        self.scheduler.hear()

    async def run(self, seconds: float, step: float = 1.0) -> None:
        """Time goes by with passes in between: as many each second as one transition needs."""
        for _ in range(int(seconds / step)):
            for _ in range(4):
                await self.tick()
            self.clock.advance(step)
        await self.tick()

    async def run_until(self, kind: type[EventData], *, count: int = 1, seconds: float = 400) -> None:
        """Until the `count`-th event of this kind was said."""
        deadline = self.clock.now().timestamp() + seconds
        while len(self.said(kind)) < count:
            assert self.clock.now().timestamp() < deadline, f"no {kind.__name__}; phase {self.rollout.phase}"
            await self.tick()
            if len(self.said(kind)) < count:
                self.clock.advance(0.5)

    async def promoted(self, revision: int = 1, *, replicas: int = 4) -> None:
        """Bring a revision to promotion, all the way."""
        await self.request(revision, replicas=replicas)
        await self.run(200)
        assert self.rollout.stable is not None
        assert self.rollout.stable.number == revision

    def said(self, kind: type[EventT]) -> list[EventT]:
        """All events of one kind."""
        return [data for data, _ in self.store.said if isinstance(data, kind)]

    def story(self, revision: int) -> list[str]:
        """The rollout events of one revision, by name, with the weights of shifts."""
        return [
            f"{type(data).__name__} {data.weight}" if hasattr(data, "weight") else type(data).__name__
            for data, _ in self.store.said
            if isinstance(data, RolloutEvent) and data.revision == revision
        ]

    def route(self) -> dict[int, int]:
        """The weights that the gateway works by."""
        return dict(self.cluster.view(DEPLOYMENT).route.applied)

    def held(self) -> set[UUID]:
        """Reservations that hold GPUs."""
        return set(self.scheduler.holding())
