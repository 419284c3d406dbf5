"""What the front door needs from outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from schemas.base import EventT
from schemas.capacity import DefragmentationPlanned, QueueReported, WhatIfAnswered
from schemas.deployment import DeploymentRequested, DeploymentSpec
from schemas.envelope import Event
from schemas.node import NodeObserved
from schemas.resources import Allocation
from schemas.usage import UsageReported
from services.ingest_api.domain.admission import Facts
from services.ingest_api.domain.api_keys import ApiKey
from services.ingest_api.domain.gpu_map import Holding
from services.ingest_api.domain.identity import Principal
from services.ingest_api.domain.questions import Question
from services.ingest_api.domain.read import Deployment, HistoryEntry, NodeCapacity, Shown
from services.ingest_api.domain.reservation import Reservation
from services.ingest_api.domain.resources import Model, ModelVersion, Producer, Tenant
from services.ingest_api.domain.view import DeploymentView
from services.ingest_api.domain.waiting_list import Report
from services.kit.messaging.lag import Snapshot
from services.kit.messaging.origin import Origin


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that is asked for."""

    limit: int
    after: str | None = None
    """Sort key of the last item of the page before."""


@dataclass(frozen=True, slots=True)
class StoredReply:
    """The answer to a write, kept for those who ask again with the same Idempotency-Key."""

    fingerprint: bytes
    """Hash of what was asked."""
    status: int
    location: str | None
    body: Any
    """As JSON; None without a body."""


class TenantStore(Protocol):
    """Tenants. `page` sees all of them, the other verbs the one that the transaction speaks for."""

    async def add(self, tenant: Tenant) -> bool:
        """False when the name is taken."""

    async def find(self, *, lock: bool = False) -> Tenant | None:
        """The tenant that the transaction speaks for."""

    async def save(self, tenant: Tenant) -> None:
        """Write plan and suspension."""

    async def page(self, page: Page) -> list[Tenant]:
        """By name."""


class KeyStore(Protocol):
    """API keys of a tenant."""

    async def add(self, key: ApiKey) -> None:
        """Keep a new key."""

    async def page(self, page: Page) -> list[ApiKey]:
        """By id, which is the order of their making."""

    async def revoke(self, key_id: str, at: datetime) -> bool:
        """False when the tenant has no such key."""


class ProducerStore(Protocol):
    """Public keys of a tenant's Kafka producers."""

    async def add(self, producer: Producer) -> bool:
        """False when the key id is taken, by whomever."""

    async def find(self, key_id: str) -> Producer | None:
        """One of the tenant's."""

    async def page(self, page: Page) -> list[Producer]:
        """By key id."""

    async def revoke(self, key_id: str, at: datetime) -> bool:
        """False when the tenant has no such key, or it is revoked already."""


class ModelStore(Protocol):
    """Models of a tenant and their versions."""

    async def add(self, model: Model) -> bool:
        """False when the name is taken."""

    async def find(self, name: str) -> Model | None:
        """One model."""

    async def count(self) -> int:
        """Models that are not archived."""

    async def page(self, page: Page) -> list[Model]:
        """By name."""

    async def archive(self, name: str, at: datetime) -> Model | None:
        """The model, archived since now or before; None when there is none."""

    async def add_version(self, version: ModelVersion) -> bool:
        """False when the model has this version already."""

    async def versions(self, model: str, page: Page) -> list[ModelVersion]:
        """By version."""


class DeploymentStore(Protocol):
    """Deployments as they were admitted."""

    async def facts(self, spec: DeploymentSpec) -> Facts:
        """What admission must know; holds the name until the transaction ends, so that two requests take turns."""

    async def find(self, deployment_id: UUID) -> Deployment | None:
        """What was admitted last, and what the deployment heads for; holds its name likewise."""

    async def record(self, event: Event[DeploymentRequested], *, is_new: bool) -> None:
        """Keep an admitted revision; a new deployment also gets its first view."""

    async def cancel(self, deployment_id: UUID, at: datetime) -> None:
        """It is being removed from now on."""

    async def removed(self, deployment_id: UUID, at: datetime) -> None:
        """It is gone; its name is free."""


class ViewStore(Protocol):
    """The read model."""

    async def show(self, deployment_id: UUID) -> Shown | None:
        """One deployment."""

    async def page(self, page: Page, state: str | None, model: str | None) -> list[Shown]:
        """Newest first, by id."""

    async def history(self, deployment_id: UUID, page: Page) -> list[HistoryEntry]:
        """In the order of the log-append times."""

    async def newest(self, deployment_id: UUID) -> int:
        """Number of the entry that came in last; 0 when there is none."""

    async def entry(self, deployment_id: UUID, event_id: str) -> HistoryEntry | None:
        """The entry of an event; None when the history has none."""

    async def news(self, deployment_id: UUID, after: int, limit: int) -> list[HistoryEntry]:
        """The next `limit` entries that came in after the one with that number; these in the order of the log."""

    async def load(self, deployment_id: UUID) -> DeploymentView:
        """The view to fold the next event into, held until the transaction ends; an empty one for a new id."""

    async def save(self, view: DeploymentView, event: Event[Any]) -> None:
        """Write it as of the event."""

    async def add_history(self, deployment_id: UUID, event: Event[Any], words: str) -> None:
        """Remember that it happened; twice is once."""


class ReservationStore(Protocol):
    """What deployments hold and wait for."""

    async def of_deployment(self, deployment_id: UUID) -> list[Reservation]:
        """Its reservations, by revision and stage; those of which nobody said so last."""

    async def find(self, reservation_id: UUID) -> Reservation | None:
        """One of the tenant's."""

    async def keep(self, deployment_id: UUID, reservation: Reservation) -> None:
        """The deployment has it, as it stands now."""

    async def release(self, reservation_id: UUID) -> None:
        """It has it no longer."""


class CapacityStore(Protocol):
    """Nodes, and what is reserved on them. Amounts are everybody's; holders and names are the tenant's that the
    transaction speaks for, and all of them when it speaks for none and is the worker's."""

    async def observe(self, data: NodeObserved, at: datetime) -> None:
        """The node is there."""

    async def remove(self, node: str) -> None:
        """The node is gone."""

    async def nodes(self, pool: str | None) -> list[NodeCapacity]:
        """All nodes of a pool or of all, by name, with what all tenants have reserved on them."""

    async def has_nodes(self, pool: str) -> bool:
        """Whether a node of the pool is known."""

    async def allocations(self) -> list[Allocation]:
        """Everything that is reserved on GPUs, whoever has it. Needs the worker's role."""

    async def holdings(self) -> list[Holding]:
        """What is reserved on GPUs, and whose it is."""

    async def deployment_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """Names of those deployments that are to be seen."""

    async def tenant_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        """Names of those tenants that are to be seen."""


class QueueStore(Protocol):
    """The newest report about each pool's queue. Writing needs the worker's role."""

    async def report(self, data: QueueReported) -> None:
        """Replace what is known of the pool's queue, unless that is newer."""

    async def reports(self, pool: str | None) -> list[Report]:
        """By pool; with the entries of the tenant that the transaction speaks for, of all when it speaks for none."""


class QuestionStore(Protocol):
    """Questions about capacity."""

    async def ask(self, question: Question) -> None:
        """Keep a question of the tenant that the transaction speaks for."""

    async def unanswered(self, since: datetime) -> int:
        """How many of the tenant's questions since then have no answer."""

    async def answer(self, answer: WhatIfAnswered | DefragmentationPlanned, at: datetime) -> bool:
        """Keep its answer, whosever it is; False when there is no such question, or it has one. Needs the worker's
        role."""

    async def find(self, question_id: UUID) -> Question | None:
        """One of the tenant's that the transaction speaks for; of anybody's when it speaks for none."""


class ReplyStore(Protocol):
    """Answers to writes by Idempotency-Key."""

    async def claim(self, account: UUID, key: str, fingerprint: bytes) -> StoredReply | None:
        """None when the key is now ours; else what was answered. Waits for a write with the same key under way."""

    async def keep(self, account: UUID, key: str, reply: StoredReply) -> None:
        """Keep the answer of a claimed key."""


class Directory(Protocol):
    """Look-ups that find the tenant; they see all tenants, and need the worker's role."""

    async def api_key(self, key_id: str) -> ApiKey | None:
        """The key of that id."""

    async def producer(self, key_id: str) -> Producer | None:
        """The producer key of that id."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that one open transaction can read and write, and what it says when it commits."""

    tenants: TenantStore
    keys: KeyStore
    producers: ProducerStore
    models: ModelStore
    deployments: DeploymentStore
    views: ViewStore
    reservations: ReservationStore
    capacity: CapacityStore
    queues: QueueStore
    questions: QuestionStore
    replies: ReplyStore
    directory: Directory
    emit: Callable[[EventT, Origin], Event[EventT]]
    act_for: Callable[[UUID], Any]
    """Await it: from here on the transaction speaks for that tenant."""


OpenStores = Callable[[UUID | None], AbstractAsyncContextManager[Stores]]
"""Opens a transaction that commits when its block ends; for one tenant, or for none yet."""


@dataclass(frozen=True, slots=True)
class Transactions:
    """The two ways into the database."""

    tenant: OpenStores
    """As the app role: row-level security lets through what belongs to the tenant, and nothing else."""
    platform: OpenStores
    """As the worker role: consumers, look-ups, operators."""


class DuplicateMarks(Protocol):
    """Which samples were recorded in the last day. Two phases: a mark is pending until the record is delivered.

    A mark that was set for good before the delivery would lose the retry of a failed one.
    """

    async def claim(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> set[str] | None:
        """The ids not recorded yet, pending now; None, and nothing marked, when one of them is pending elsewhere."""

    async def done(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> None:
        """They are recorded."""

    async def forget(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> None:
        """They are not: a retry may try again at once."""


class UsageLog(Protocol):
    """Where samples have their only home."""

    async def append(self, event: Event[UsageReported]) -> None:
        """Sign and deliver; on return it is safe. Raises `TransientError`, or `Problem` when it is too large."""


class Tokens(Protocol):
    """The issuer's bearer tokens."""

    def verify(self, token: str, now: datetime) -> Principal:
        """The caller; raises `CredentialError`."""


class LagProbe(Protocol):
    """How far the consumer groups are behind."""

    def snapshot(self) -> Snapshot | None:
        """The last measurement; None before the first."""
