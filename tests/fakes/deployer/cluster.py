"""A cluster in memory, moved by a clock in hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from schemas.rollout import Measurement
from services.deployer.domain.node import Node
from services.deployer.domain.observation import NO_ROUTE, ClusterView, PodView, RouteView, Window, WorkloadView
from services.deployer.domain.revision import Slot
from services.deployer.ports import StaleWriteError, Workload
from services.kit.clock import Clock
from services.kit.errors import TransientError

Place = tuple[UUID, int]
"""Deployment and revision."""


@dataclass
class Pod:
    """One pod: ready from a moment on, and gone at another."""

    slot: Slot
    ready_at: datetime
    gone_at: datetime | None = None


@dataclass
class Entry:
    """One workload."""

    workload: Workload
    version: int = 1
    is_ending: bool = False
    pods: list[Pod] = field(default_factory=list)


@dataclass
class WrittenRoute:
    """One route with what is on its way to be applied."""

    weights: dict[int, int]
    generation: int
    due_at: datetime
    applied: dict[int, int] = field(default_factory=dict)
    observed_generation: int = 0


class InMemoryCluster:
    """`Cluster` whose pods load, whose pods end and whose routes are applied when the clock says so."""

    def __init__(
        self,
        clock: Clock,
        *,
        nodes: Sequence[Node] = (),
        load_seconds: float = 2,
        drain_seconds: float = 1,
        route_delay_seconds: float = 1,
    ) -> None:
        self.listed_nodes = list(nodes)
        self.load_seconds = load_seconds
        self.drain_seconds = drain_seconds
        self.route_delay_seconds = route_delay_seconds
        self.is_away = False
        self.refuses_writes = False
        self.refuses_routes = False
        self.writes: list[str] = []
        """Every write that was taken, in words."""
        self._clock = clock
        self.wanted_replicas: int | None = None
        """What the autoscaler wants of every deployment."""
        self._entries: dict[Place, Entry] = {}
        self._routes: dict[UUID, WrittenRoute] = {}
        self._removed: set[str] = set()

    async def observe(self, deployment_ids: Collection[UUID]) -> Mapping[UUID, ClusterView]:
        """See `Cluster.observe`."""
        self._check(self.is_away)
        return {identity: self.view(identity) for identity in deployment_ids}

    async def apply(self, workload: Workload, if_version: int) -> None:
        """See `Cluster.apply`."""
        self._check(self.is_away or self.refuses_writes)
        self._settle()
        place = (workload.deployment_id, workload.revision)
        entry = self._entries.get(place)
        present = entry.version if entry else 0
        if present != if_version or (entry and entry.is_ending):
            raise StaleWriteError(f"{place} is at version {present}")
        if entry is None:
            entry = self._entries[place] = Entry(workload)
        elif entry.workload != workload:
            entry.workload, entry.version = workload, entry.version + 1
        self.writes.append(f"apply {workload.revision} x{len(workload.slots)}")
        self._reconcile(entry)

    async def delete(self, deployment_id: UUID, revision: int) -> None:
        """See `Cluster.delete`."""
        self._check(self.is_away or self.refuses_writes)
        self._settle()
        entry = self._entries.get((deployment_id, revision))
        if entry and not entry.is_ending:
            self.writes.append(f"delete {revision}")
            entry.is_ending = True
            self._reconcile(entry)

    async def set_route(self, deployment_id: UUID, weights: Mapping[int, int], if_generation: int) -> None:
        """See `Cluster.set_route`."""
        self._check(self.is_away or self.refuses_writes or self.refuses_routes)
        self._settle()
        route = self._routes.get(deployment_id)
        present = route.generation if route else 0
        if present != if_generation:
            raise StaleWriteError(f"the route is at generation {present}")
        due_at = self._clock.now() + timedelta(seconds=self.route_delay_seconds)
        fresh = WrittenRoute(dict(weights), present + 1, due_at)
        if route:
            fresh.applied, fresh.observed_generation = route.applied, route.observed_generation
        self._routes[deployment_id] = fresh
        self.writes.append(f"route {dict(weights)}")

    async def nodes(self) -> Sequence[Node]:
        """See `Cluster.nodes`."""
        self._check(self.is_away)
        return list(self.listed_nodes)

    def view(self, deployment_id: UUID) -> ClusterView:
        """What `observe` shows of one deployment."""
        self._settle()
        workloads = {
            place[1]: self._workload_view(place[1], entry)
            for place, entry in self._entries.items()
            if place[0] == deployment_id
        }
        route = self._routes.get(deployment_id)
        if route is None:
            return ClusterView(workloads, NO_ROUTE, self.wanted_replicas)
        shown = RouteView(route.generation, route.observed_generation, dict(route.weights), dict(route.applied))
        return ClusterView(workloads, shown, self.wanted_replicas)

    def live_slots(self) -> list[Slot]:
        """The slot of every pod that exists."""
        self._settle()
        return [pod.slot for entry in self._entries.values() for pod in entry.pods]

    def crash(self, deployment_id: UUID, revision: int, seconds: float) -> None:
        """All pods of a revision stop being ready, and load again for so long."""
        entry = self._entries.get((deployment_id, revision))
        for pod in entry.pods if entry else ():
            pod.ready_at = self._clock.now() + timedelta(seconds=seconds)

    def put_node(self, node: Node) -> None:
        """A node as it is from now on; one that was removed comes back."""
        self.listed_nodes = [node if known.name == node.name else known for known in self.listed_nodes]
        if node not in self.listed_nodes:
            self.listed_nodes.append(node)
        self._removed.discard(node.name)
        for entry in self._entries.values():
            self._reconcile(entry)

    def fail_devices(self, name: str, *devices: int) -> None:
        """These devices of a node are broken from now on, and no others."""
        node = next(node for node in self.listed_nodes if node.name == name)
        self.put_node(replace(node, failed_devices=tuple(sorted(devices))))

    def remove_node(self, name: str) -> None:
        """The node is gone, and its pods with it."""
        self.listed_nodes = [node for node in self.listed_nodes if node.name != name]
        self._removed.add(name)
        for entry in self._entries.values():
            entry.pods = [pod for pod in entry.pods if pod.slot.node != name]

    def forget(self) -> None:
        """Lose everything, as a cluster that is made anew."""
        self._entries.clear()
        self._routes.clear()

    def _workload_view(self, revision: int, entry: Entry) -> WorkloadView:
        now = self._clock.now()
        broken = {(node.name, device) for node in self.listed_nodes for device in node.failed_devices}
        pods = (
            PodView(
                pod.slot,
                pod.ready_at <= now
                and pod.gone_at is None
                and not broken & {(pod.slot.node, device) for device in pod.slot.devices},
            )
            for pod in entry.pods
        )
        slots = tuple(sorted(entry.workload.slots, key=lambda slot: slot.place))
        return WorkloadView(revision, entry.version, slots, tuple(pods))

    def _reconcile(self, entry: Entry) -> None:
        now = self._clock.now()
        wanted = [] if entry.is_ending else list(entry.workload.slots)
        for pod in entry.pods:
            if pod.slot not in wanted and pod.gone_at is None:
                pod.gone_at = now + timedelta(seconds=self.drain_seconds)
        taken = [pod.slot for pod in entry.pods]
        loaded = now + timedelta(seconds=self.load_seconds)
        entry.pods += [Pod(slot, loaded) for slot in wanted if slot not in taken and slot.node not in self._removed]

    def _settle(self) -> None:
        """What has become due by now."""
        now = self._clock.now()
        for place, entry in list(self._entries.items()):
            left = [pod for pod in entry.pods if pod.gone_at is None or pod.gone_at > now]
            if len(left) < len(entry.pods):  # a slot that came back while its pod ended gets a new one
                entry.pods = left
                self._reconcile(entry)
            if entry.is_ending and not entry.pods:
                del self._entries[place]
        for identity, route in list(self._routes.items()):
            if route.due_at <= now:
                route.applied, route.observed_generation = dict(route.weights), route.generation
                if not route.weights:
                    del self._routes[identity]

    def _check(self, is_refused: bool) -> None:
        if is_refused:
            raise TransientError("the cluster is away")


class InMemoryMetrics:
    """`Metrics` that tells what the test says of each revision."""

    def __init__(self) -> None:
        self.of: dict[int, Measurement] = {}
        self.windows: list[Window] = []
        self.is_away = False

    async def measure(self, deployment_id: UUID, window: Window) -> Mapping[int, Measurement]:
        """See `Metrics.measure`."""
        if self.is_away:
            raise TransientError("metrics are away")
        self.windows.append(window)
        return dict(self.of)
