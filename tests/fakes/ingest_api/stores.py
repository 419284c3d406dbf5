"""The front door's stores in memory, with transactions that roll back; they pass the contract tests of the real ones.

As in the database, a store shows the rows of the tenant that its transaction speaks for, and no other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from schemas.deployment import DeploymentRequested, DeploymentSpec
from schemas.envelope import Event
from services.ingest_api.domain.admission import Existing, Facts
from services.ingest_api.domain.api_keys import ApiKey
from services.ingest_api.domain.fold import fold
from services.ingest_api.domain.problems import invalid
from services.ingest_api.domain.read import AsOf, Deployment, HistoryEntry, Shown, shown
from services.ingest_api.domain.resources import Model, ModelVersion, Producer, Tenant
from services.ingest_api.domain.view import FAILED, DeploymentView, State
from services.ingest_api.ports import Page, StoredReply, Stores, Transactions
from services.kit.clock import Clock, HeldClock
from services.kit.persistence.unit_of_work import UnitOfWork
from tests.fakes.ingest_api.builders import NOW
from tests.fakes.ingest_api.capacity import (
    InMemoryCapacity,
    InMemoryQuestions,
    InMemoryQueues,
    InMemoryReservations,
)
from tests.fakes.ingest_api.history import InMemoryHistory
from tests.fakes.ingest_api.tables import Row, Store, Tables, TenantUnitOfWork
from tests.fakes.kit.unit_of_work import transaction

ItemT = TypeVar("ItemT")


class InMemoryDoor:
    """Transactions on tables in memory."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.tables = Tables()
        self._clock = clock or HeldClock(NOW)

    @property
    def transactions(self) -> Transactions:
        """Both ways in; they differ in the database only."""
        return Transactions(tenant=self.open, platform=self.open)

    @asynccontextmanager
    async def unit_of_work(self, tenant_id: UUID | None = None) -> AsyncIterator[UnitOfWork]:
        """Commits when the block ends; leaves no trace when it raises."""
        async with transaction(TenantUnitOfWork(self.tables, "ingest", "ingest_api", self._clock)) as work:
            work.tenant_id = tenant_id
            yield work

    @asynccontextmanager
    async def open(self, tenant_id: UUID | None) -> AsyncIterator[Stores]:
        """`OpenStores`."""
        async with self.unit_of_work(tenant_id) as work:
            yield stores_of(work)


def stores_of(work: UnitOfWork) -> Stores:
    """All stores on one open transaction."""
    own = cast(TenantUnitOfWork, work)
    views = InMemoryViews(own)
    return Stores(
        tenants=InMemoryTenants(own),
        keys=InMemoryKeys(own),
        producers=InMemoryProducers(own),
        models=InMemoryModels(own),
        deployments=InMemoryDeployments(own, views),
        views=views,
        reservations=InMemoryReservations(own),
        capacity=InMemoryCapacity(own),
        queues=InMemoryQueues(own),
        questions=InMemoryQuestions(own),
        replies=InMemoryReplies(own),
        directory=InMemoryDirectory(own),
        emit=own.emit,
        act_for=own.act_for,
    )


def _page(items: Iterable[tuple[str, ItemT]], page: Page) -> list[ItemT]:
    """The items by their sort key, from behind `page.after`."""
    behind = sorted(
        ((key, item) for key, item in items if page.after is None or key > page.after), key=lambda row: row[0]
    )
    return [item for _, item in behind][: page.limit]


class InMemoryTenants(Store):
    """See `ports.TenantStore`."""

    async def add(self, tenant: Tenant) -> bool:
        assert tenant.tenant_id == self.work.tenant
        if any(other.name == tenant.name for other in self.tables.tenants.values()):
            return False
        self.tables.tenants[tenant.tenant_id] = tenant
        return True

    async def find(self, *, lock: bool = False) -> Tenant | None:
        return self.tables.tenants.get(self.work.tenant)

    async def save(self, tenant: Tenant) -> None:
        self.tables.tenants[self.work.tenant] = self.tables.tenants[self.work.tenant].model_copy(
            update={"plan": tenant.plan, "suspended_reason": tenant.suspended_reason}
        )

    async def page(self, page: Page) -> list[Tenant]:
        return _page(((tenant.name, tenant) for tenant in self.tables.tenants.values()), page)


class InMemoryKeys(Store):
    """See `ports.KeyStore`."""

    async def add(self, key: ApiKey) -> None:
        assert key.tenant_id == self.work.tenant
        self.tables.keys[key.key_id] = key

    async def page(self, page: Page) -> list[ApiKey]:
        owner = self.work.tenant
        return _page(((key.key_id, key) for key in self.tables.keys.values() if key.tenant_id == owner), page)

    async def revoke(self, key_id: str, at: datetime) -> bool:
        key = self.tables.keys.get(key_id)
        if key is None or key.tenant_id != self.work.tenant:
            return False
        self.tables.keys[key_id] = replace(key, revoked_at=key.revoked_at or at)
        return True


class InMemoryProducers(Store):
    """See `ports.ProducerStore`."""

    async def add(self, producer: Producer) -> bool:
        assert producer.tenant_id == self.work.tenant
        return self.tables.producers.setdefault(producer.key_id, producer) is producer

    async def find(self, key_id: str) -> Producer | None:
        owner, found = self.work.tenant, self.tables.producers.get(key_id)
        return found if found is not None and found.tenant_id == owner else None

    async def page(self, page: Page) -> list[Producer]:
        owner = self.work.tenant
        return _page(((one.key_id, one) for one in self.tables.producers.values() if one.tenant_id == owner), page)

    async def revoke(self, key_id: str, at: datetime) -> bool:
        found = await self.find(key_id)
        if found is None or found.revoked_at is not None:
            return False
        self.tables.producers[key_id] = found.model_copy(update={"revoked_at": at})
        return True


class InMemoryModels(Store):
    """See `ports.ModelStore`."""

    async def add(self, model: Model) -> bool:
        return self.tables.models.setdefault((self.work.tenant, model.name), model) is model

    async def find(self, name: str) -> Model | None:
        return self.tables.models.get((self.work.tenant, name))

    async def count(self) -> int:
        return sum(model.archived_at is None for model in self._own())

    async def page(self, page: Page) -> list[Model]:
        return _page(((model.name, model) for model in self._own()), page)

    async def archive(self, name: str, at: datetime) -> Model | None:
        found = await self.find(name)
        if found is None:
            return None
        archived = found.model_copy(update={"archived_at": found.archived_at or at})
        self.tables.models[self.work.tenant, name] = archived
        return archived

    async def add_version(self, version: ModelVersion) -> bool:
        key = self.work.tenant, version.model, version.version
        return self.tables.versions.setdefault(key, version) is version

    async def versions(self, model: str, page: Page) -> list[ModelVersion]:
        key = self.work.tenant, model
        own = [one for (owner, of, _), one in self.tables.versions.items() if (owner, of) == key]
        return _page(((one.version, one) for one in own), page)

    def _own(self) -> list[Model]:
        tenant = self.work.tenant
        return [model for (owner, _), model in self.tables.models.items() if owner == tenant]


class InMemoryViews(Store):
    """See `ports.ViewStore`."""

    async def show(self, deployment_id: UUID) -> Shown | None:
        tenant = self.work.tenant
        owner, view, as_of = self.tables.views.get(deployment_id, (None, None, None))
        if view is None or as_of is None or owner != tenant:
            return None
        row = self.tables.deployments.get(deployment_id)
        return shown(view, _state(view, row), max(row.revision if row else 0, view.revision), as_of)

    async def page(self, page: Page, state: str | None, model: str | None) -> list[Shown]:
        tenant, found = self.work.tenant, list[Shown]()
        own = [deployment_id for deployment_id, (owner, *_) in self.tables.views.items() if owner == tenant]
        for deployment_id in sorted(own, reverse=True):
            item = await self.show(deployment_id)
            if item is None or (page.after is not None and deployment_id >= _uuid(page.after)):
                continue
            if state in (None, item.state) and model in (None, item.spec.model if item.spec else None):
                found.append(item)
        return found[: page.limit]

    async def load(self, deployment_id: UUID) -> DeploymentView:
        _, view, _ = self.tables.views.get(deployment_id, (None, DeploymentView(deployment_id=deployment_id), None))
        return view

    async def save(self, view: DeploymentView, event: Event[Any]) -> None:
        assert event.position is not None
        as_of = AsOf(position=str(event.position), time=event.position.appended_at)
        self.tables.views[view.deployment_id] = self.work.tenant, view, as_of

    async def add_history(self, deployment_id: UUID, event: Event[Any], words: str) -> None:
        await self._history.add_history(deployment_id, event, words)

    async def history(self, deployment_id: UUID, page: Page) -> list[HistoryEntry]:
        return await self._history.history(deployment_id, page)

    async def newest(self, deployment_id: UUID) -> int:
        return await self._history.newest(deployment_id)

    async def entry(self, deployment_id: UUID, event_id: str) -> HistoryEntry | None:
        return await self._history.entry(deployment_id, event_id)

    async def news(self, deployment_id: UUID, after: int, limit: int) -> list[HistoryEntry]:
        return await self._history.news(deployment_id, after, limit)

    @property
    def _history(self) -> InMemoryHistory:
        return self.tables.histories.setdefault(self.work.tenant, InMemoryHistory())


def _state(view: DeploymentView, row: Row | None) -> State:
    """The view's, but for what was asked and is not folded yet."""
    if view.state is State.REMOVED or row is None:
        return view.state
    if row.cancelled_at is not None:
        return State.REMOVING
    return State.REQUESTED if row.revision > view.revision else view.state


def _uuid(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise invalid("", "cursor: it is of another list; use the `next` link of this one") from None


class InMemoryDeployments(Store):
    """See `ports.DeploymentStore`."""

    def __init__(self, work: TenantUnitOfWork, views: InMemoryViews) -> None:
        super().__init__(work)
        self._views = views

    async def facts(self, spec: DeploymentSpec) -> Facts:
        tenant = self.work.tenant
        named = [
            deployment_id
            for deployment_id, row in self.tables.deployments.items()
            if (row.tenant_id, row.name, row.removed_at) == (tenant, spec.name, None)
        ]
        found = await self.find(named[0]) if named else None
        return Facts(
            tenant=self.tables.tenants.get(tenant),
            model=self.tables.models.get((tenant, spec.model)),
            version=self.tables.versions.get((tenant, spec.model, spec.version)),
            existing=None
            if found is None
            else Existing(found.deployment_id, found.revision, found.heading_to, is_cancelled=found.is_cancelled),
        )

    async def find(self, deployment_id: UUID) -> Deployment | None:
        row, seen = self.tables.deployments.get(deployment_id), await self._views.show(deployment_id)
        if row is None or row.tenant_id != self.work.tenant or seen is None:
            return None
        newest, revisions = self.tables.revisions[deployment_id, row.revision], self.tables.revisions
        stable = revisions.get((deployment_id, seen.stable_revision)) if seen.stable_revision else None
        return Deployment(
            deployment_id=deployment_id,
            name=row.name,
            revision=row.revision,
            spec=newest,
            heading_to=stable if seen.state in FAILED else newest,
            state=seen.state,
            is_cancelled=row.cancelled_at is not None,
            is_removed=row.removed_at is not None,
        )

    async def record(self, event: Event[DeploymentRequested], *, is_new: bool) -> None:
        data, tenant = event.data, self.work.tenant
        if is_new:
            self.tables.deployments[data.deployment_id] = Row(tenant, data.spec.name, data.revision)
            view = fold(DeploymentView(deployment_id=data.deployment_id), data)
            self.tables.views[data.deployment_id] = tenant, view, AsOf()
        else:
            row = self.tables.deployments[data.deployment_id]
            self.tables.deployments[data.deployment_id] = replace(row, revision=data.revision)
        self.tables.revisions[data.deployment_id, data.revision] = data.spec

    async def cancel(self, deployment_id: UUID, at: datetime) -> None:
        row = self._own(deployment_id)
        if row is not None:
            self.tables.deployments[deployment_id] = replace(row, cancelled_at=row.cancelled_at or at)

    async def removed(self, deployment_id: UUID, at: datetime) -> None:
        row = self._own(deployment_id)
        if row is not None:
            self.tables.deployments[deployment_id] = replace(row, removed_at=row.removed_at or at)

    def _own(self, deployment_id: UUID) -> Row | None:
        row = self.tables.deployments.get(deployment_id)
        return row if row is not None and row.tenant_id == self.work.tenant else None


class InMemoryReplies(Store):
    """See `ports.ReplyStore`."""

    async def claim(self, account: UUID, key: str, fingerprint: bytes) -> StoredReply | None:
        if (account, key) in self.tables.replies:
            return self.tables.replies[account, key]
        self.tables.replies[account, key] = None
        return None

    async def keep(self, account: UUID, key: str, reply: StoredReply) -> None:
        self.tables.replies[account, key] = reply


class InMemoryDirectory(Store):
    """See `ports.Directory`."""

    async def api_key(self, key_id: str) -> ApiKey | None:
        return self.tables.keys.get(key_id)

    async def producer(self, key_id: str) -> Producer | None:
        return self.tables.producers.get(key_id)
