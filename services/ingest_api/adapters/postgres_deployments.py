"""Deployments as they were admitted, in Postgres."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from schemas.deployment import DeploymentRequested, DeploymentSpec
from schemas.envelope import Event
from services.ingest_api.adapters.postgres_accounts import PostgresTenants
from services.ingest_api.adapters.postgres_models import PostgresModels
from services.ingest_api.adapters.postgres_views import PostgresViews, view_row
from services.ingest_api.adapters.tables import DeploymentRow, RevisionRow, VersionRow, ViewRow
from services.ingest_api.domain.admission import Existing, Facts
from services.ingest_api.domain.fold import fold
from services.ingest_api.domain.read import Deployment
from services.ingest_api.domain.resources import ModelVersion
from services.ingest_api.domain.view import FAILED, DeploymentView
from services.kit.persistence.tenancy import TenantRepository
from services.kit.persistence.unit_of_work import UnitOfWork

HOLD_NAME = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
"""Also of a name that has no row yet, so that two requests for a new name take turns instead of colliding."""


class PostgresDeployments:
    """`DeploymentStore`."""

    def __init__(self, work: UnitOfWork, views: PostgresViews) -> None:
        self._work = work
        self._views = views
        self._rows = TenantRepository(work.session, DeploymentRow)
        self._revisions = TenantRepository(work.session, RevisionRow)
        self._versions = TenantRepository(work.session, VersionRow)

    async def facts(self, spec: DeploymentSpec) -> Facts:
        """See the port."""
        await self._hold(spec.name)
        row = await self._rows.find(name=spec.name, removed_at=None)
        deployment = None if row is None else await self._deployment(row)
        version = await self._versions.find(model=spec.model, version=spec.version)
        return Facts(
            tenant=await PostgresTenants(self._work.session).find(),
            model=await PostgresModels(self._work.session).find(spec.model),
            version=None if version is None else ModelVersion.model_validate(version, from_attributes=True),
            existing=None if deployment is None else _existing(deployment),
        )

    async def find(self, deployment_id: UUID) -> Deployment | None:
        """See the port."""
        row = await self._rows.find(deployment_id=deployment_id)
        if row is None:
            return None
        await self._hold(row.name)
        await self._work.session.refresh(row)
        return await self._deployment(row)

    async def record(self, event: Event[DeploymentRequested], *, is_new: bool) -> None:
        """See the port."""
        data = event.data
        if is_new:
            await self._rows.add(_first_row(event))
            view = fold(DeploymentView(deployment_id=data.deployment_id), data)
            await TenantRepository(self._work.session, ViewRow).add(view_row(view))
        else:
            row = await self._rows.find(deployment_id=data.deployment_id)
            assert row is not None  # noqa: S101 - admission found it in this transaction
            row.revision = data.revision
        await self._revisions.add(_revision_row(event))

    async def cancel(self, deployment_id: UUID, at: datetime) -> None:
        """See the port."""
        row = await self._rows.find(lock=True, deployment_id=deployment_id)
        if row is not None:
            row.cancelled_at = row.cancelled_at or at
            await self._rows.save()

    async def removed(self, deployment_id: UUID, at: datetime) -> None:
        """See the port."""
        row = await self._rows.find(lock=True, deployment_id=deployment_id)
        if row is not None:
            row.removed_at = row.removed_at or at
            await self._rows.save()

    async def _hold(self, name: str) -> None:
        await self._work.connection.execute(HOLD_NAME, {"name": f"{self._work.tenant_id} {name}"})

    async def _deployment(self, row: DeploymentRow) -> Deployment:
        seen = await self._views.show(row.deployment_id)
        assert seen is not None  # noqa: S101 - it was written with the row
        newest = await self._spec(row.deployment_id, row.revision)
        assert newest is not None  # noqa: S101 - likewise
        heading_to = await self._spec(row.deployment_id, seen.stable_revision) if seen.state in FAILED else newest
        return Deployment(
            deployment_id=row.deployment_id,
            name=row.name,
            revision=row.revision,
            spec=newest,
            heading_to=heading_to,
            state=seen.state,
            is_cancelled=row.cancelled_at is not None,
            is_removed=row.removed_at is not None,
        )

    async def _spec(self, deployment_id: UUID, revision: int | None) -> DeploymentSpec | None:
        row = None if revision is None else await self._revisions.find(deployment_id=deployment_id, revision=revision)
        return None if row is None else DeploymentSpec.model_validate(row.spec)


def _existing(deployment: Deployment) -> Existing:
    return Existing(
        deployment.deployment_id, deployment.revision, deployment.heading_to, is_cancelled=deployment.is_cancelled
    )


def _first_row(event: Event[DeploymentRequested]) -> DeploymentRow:
    data = event.data
    return DeploymentRow(
        deployment_id=data.deployment_id, name=data.spec.name, revision=data.revision, created_at=event.time
    )


def _revision_row(event: Event[DeploymentRequested]) -> RevisionRow:
    return RevisionRow(
        deployment_id=event.data.deployment_id,
        revision=event.data.revision,
        spec=event.data.spec.model_dump(mode="json"),
        requested_by=event.actor or "unknown",
        requested_at=event.time,
    )
