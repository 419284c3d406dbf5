"""Models and versions in Postgres."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest_api.adapters.postgres_accounts import add_new
from services.ingest_api.adapters.tables import ModelRow, VersionRow
from services.ingest_api.domain.resources import Model, ModelVersion
from services.ingest_api.ports import Page
from services.kit.persistence.tenancy import TenantRepository


class PostgresModels:
    """`ModelStore`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._models = TenantRepository(session, ModelRow)
        self._versions = TenantRepository(session, VersionRow)

    async def add(self, model: Model) -> bool:
        """See the port."""
        return await add_new(self._session, ModelRow(**model.model_dump()))

    async def find(self, name: str) -> Model | None:
        """See the port."""
        row = await self._models.find(name=name)
        return None if row is None else Model.model_validate(row, from_attributes=True)

    async def count(self) -> int:
        """See the port."""
        statement = select(func.count()).select_from(ModelRow).where(ModelRow.archived_at.is_(None))
        return await self._session.scalar(statement) or 0

    async def page(self, page: Page) -> list[Model]:
        """See the port."""
        rows = await self._models.page(ModelRow.name, after=page.after, limit=page.limit)
        return [Model.model_validate(row, from_attributes=True) for row in rows]

    async def archive(self, name: str, at: datetime) -> Model | None:
        """See the port."""
        row = await self._models.find(lock=True, name=name)
        if row is None:
            return None
        row.archived_at = row.archived_at or at
        await self._models.save()
        return Model.model_validate(row, from_attributes=True)

    async def add_version(self, version: ModelVersion) -> bool:
        """See the port."""
        return await add_new(self._session, VersionRow(**version.model_dump()))

    async def versions(self, model: str, page: Page) -> list[ModelVersion]:
        """See the port."""
        rows = await self._versions.page(
            VersionRow.version, VersionRow.model == model, after=page.after, limit=page.limit
        )
        return [ModelVersion.model_validate(row, from_attributes=True) for row in rows]
