"""The front door's tables in memory, and transactions on them that speak for one tenant at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas.capacity import QueueReported
from schemas.deployment import DeploymentSpec
from schemas.envelope import Event
from schemas.node import NodeObserved
from services.ingest_api.domain.api_keys import ApiKey
from services.ingest_api.domain.questions import Question
from services.ingest_api.domain.read import AsOf
from services.ingest_api.domain.reservation import Reservation
from services.ingest_api.domain.resources import Model, ModelVersion, Producer, Tenant
from services.ingest_api.domain.view import DeploymentView
from services.ingest_api.ports import StoredReply
from services.kit.persistence.tenancy import MissingTenantError
from tests.fakes.ingest_api.history import InMemoryHistory
from tests.fakes.kit.unit_of_work import InMemoryUnitOfWork


@dataclass(frozen=True)
class Row:
    """A deployment as it was admitted."""

    tenant_id: UUID
    name: str
    revision: int
    cancelled_at: datetime | None = None
    removed_at: datetime | None = None


@dataclass
class Tables:
    """Everything that is stored."""

    tenants: dict[UUID, Tenant] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    producers: dict[str, Producer] = field(default_factory=dict)
    models: dict[tuple[UUID, str], Model] = field(default_factory=dict)
    versions: dict[tuple[UUID, str, str], ModelVersion] = field(default_factory=dict)
    deployments: dict[UUID, Row] = field(default_factory=dict)
    revisions: dict[tuple[UUID, int], DeploymentSpec] = field(default_factory=dict)
    views: dict[UUID, tuple[UUID, DeploymentView, AsOf]] = field(default_factory=dict)
    histories: dict[UUID, InMemoryHistory] = field(default_factory=dict)
    reservations: dict[UUID, tuple[UUID, UUID, Reservation]] = field(default_factory=dict)
    """With tenant and deployment."""
    queues: dict[str, QueueReported] = field(default_factory=dict)
    questions: dict[UUID, Question] = field(default_factory=dict)
    nodes: dict[str, tuple[NodeObserved, datetime]] = field(default_factory=dict)
    replies: dict[tuple[UUID, str], StoredReply | None] = field(default_factory=dict)
    events: list[Event[Any]] = field(default_factory=list)
    """What was said, as the relay would send it."""


class TenantUnitOfWork(InMemoryUnitOfWork[Tables]):
    """A transaction on `Tables` that speaks for one tenant at a time."""

    @property
    def tenant(self) -> UUID:
        """Whom the transaction speaks for; raises as the ORM does."""
        if self.tenant_id is None:
            raise MissingTenantError("this unit of work speaks for no tenant: call act_for first")
        return self.tenant_id

    async def act_for(self, tenant_id: UUID) -> None:
        """From here on it speaks for that tenant."""
        self.tenant_id = tenant_id


@dataclass
class Store:
    """Of one transaction."""

    work: TenantUnitOfWork

    @property
    def tables(self) -> Tables:
        """Looked up anew: a rollback replaces what they hold."""
        return self.work.tables
