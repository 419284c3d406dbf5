"""What the deployer needs of the world. Every backend of a port passes the same contract tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from schemas.placement import PlacementEvent
from schemas.resources import Resources
from schemas.rollout import Measurement
from schemas.tenant import TenantSuspended
from services.deployer.domain.model import Rollout
from services.deployer.domain.node import Node, NodeChange
from services.deployer.domain.observation import ClusterView, CommandKind, Inbound, Request, Window
from services.deployer.domain.revision import Slot
from services.deployer.domain.transition import Transition
from services.kit.messaging.origin import Origin
from services.kit.persistence.leases import Lease
from services.kit.persistence.unit_of_work import UnitOfWork


class StaleWriteError(Exception):
    """A write named an older version than the cluster has: somebody else wrote since. Look again, then decide."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One revision's pods as they are wanted: one pod per slot, each on its slot's node and devices."""

    deployment_id: UUID
    tenant_id: UUID
    """A cluster may keep each tenant in a namespace of its own."""
    revision: int
    name: str
    """Name of the deployment."""
    model: str
    version: str
    resources: Resources
    """Demand of one pod."""
    slots: tuple[Slot, ...]


class Cluster(Protocol):
    """Where models run. Every call may raise `TransientError`; writes are idempotent."""

    async def observe(self, deployment_ids: Collection[UUID]) -> Mapping[UUID, ClusterView]:
        """What the cluster shows of these deployments now; an entry for each, empty for an unknown one."""

    async def apply(self, workload: Workload, if_version: int) -> None:
        """Create or change a workload; raises `StaleWriteError` when its version is not `if_version` (0 = absent)."""

    async def delete(self, deployment_id: UUID, revision: int) -> None:
        """End a workload's pods; nothing happens when there is none. It is seen until its last pod is gone."""

    async def set_route(self, deployment_id: UUID, weights: Mapping[int, int], if_generation: int) -> None:
        """Write the route, revision to percent; none = no route. Raises `StaleWriteError` as `apply` does."""

    async def nodes(self) -> Sequence[Node]:
        """All nodes of the cluster."""


class Metrics(Protocol):
    """What the traffic looked like."""

    async def measure(self, deployment_id: UUID, window: Window) -> Mapping[int, Measurement]:
        """Each revision that had traffic in the window; raises `TransientError`."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rollout with what was recorded for it, read in one transaction."""

    rollout: Rollout
    inbound: Inbound
    signals: int = 0
    """Messages that the handlers recorded up to now; a save says that they were seen."""
    is_signalled: bool = False
    """Whether some of them were not seen by a saved pass before."""

    @property
    def deployment_id(self) -> UUID:
        """The deployment."""
        return self.rollout.deployment_id

    @property
    def tenant_id(self) -> UUID:
        """Whose it is."""
        return self.rollout.tenant_id


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A rollout whose records this release cannot read: a newer one wrote them, and was rolled back."""

    deployment_id: UUID
    tenant_id: UUID
    error: Exception
    """Why not."""


class RolloutStore(Protocol):
    """The owner's side of the records. Every call may raise `TransientError`."""

    async def load(self, shard: int, *, everything: bool) -> Sequence[Loaded | Unreadable]:
        """The shard's rollouts that are active or were signalled; with `everything`, the settled ones too.

        One that cannot be read hides none of the others.
        """

    async def save(self, lease: Lease, loaded: Loaded, transition: Transition) -> None:
        """Store a transition with its events in one transaction; raises `LeaseLostError` for an old owner."""


class NodeStore(Protocol):
    """The nodes that were told last. Every call may raise `TransientError`."""

    async def known(self) -> Sequence[Node]:
        """What was told last of every node that is there."""

    async def save(self, lease: Lease, changes: Sequence[NodeChange]) -> None:
        """Store and tell the changes in one transaction; raises `LeaseLostError` for an old owner."""


class Intake(Protocol):
    """The handlers' side: each call records one message in the handler's transaction, and wakes the owner."""

    async def request(self, work: UnitOfWork, deployment_id: UUID, request: Request, origin: Origin) -> None:
        """A revision is wanted; a repeated one changes nothing."""

    async def command(
        self, work: UnitOfWork, deployment_id: UUID, kind: CommandKind, reason: str, origin: Origin
    ) -> bool:
        """Somebody asks something; returns False when no such deployment of the tenant is known."""

    async def answer(self, work: UnitOfWork, event: PlacementEvent, tenant_id: UUID) -> None:
        """The scheduler said something about a reservation: it changes what is known of it (`domain.answers`)."""

    async def suspend(self, work: UnitOfWork, tenant: TenantSuspended) -> None:
        """The tenant may start nothing."""

    async def resume(self, work: UnitOfWork, tenant_id: UUID) -> None:
        """The tenant may start again."""
