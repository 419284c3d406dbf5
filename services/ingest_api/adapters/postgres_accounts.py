"""Tenants, their API keys and their producers' keys in Postgres; and the look-ups that find a tenant."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from schemas.tenant import Plan
from services.ingest_api.adapters.tables import KeyRow, ProducerRow, TenantRow
from services.ingest_api.domain.api_keys import ApiKey
from services.ingest_api.domain.identity import Scope
from services.ingest_api.domain.resources import Producer, Tenant
from services.ingest_api.ports import Page
from services.kit.persistence.tenancy import ACROSS_TENANTS, TenantMixin, TenantRepository

ALL = {ACROSS_TENANTS: True}


async def add_new(session: AsyncSession, row: TenantMixin) -> bool:
    """Insert the row; False when it breaks a unique constraint, and then nothing else of the transaction is lost."""
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


class PostgresTenants:
    """`TenantStore`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._rows = TenantRepository(session, TenantRow)

    async def add(self, tenant: Tenant) -> bool:
        """See the port."""
        return await add_new(self._session, TenantRow(**tenant.model_dump() | {"plan": _plan(tenant.plan)}))

    async def find(self, *, lock: bool = False) -> Tenant | None:
        """See the port."""
        row = await self._rows.find(lock=lock)
        return None if row is None else Tenant.model_validate(row, from_attributes=True)

    async def save(self, tenant: Tenant) -> None:
        """See the port."""
        row = await self._rows.find()
        if row is not None:
            row.plan, row.suspended_reason = _plan(tenant.plan), tenant.suspended_reason
            await self._rows.save()

    async def page(self, page: Page) -> list[Tenant]:
        """See the port."""
        statement = select(TenantRow).order_by(TenantRow.name).limit(page.limit)
        if page.after is not None:
            statement = statement.where(TenantRow.name > page.after)
        rows = await self._session.scalars(statement, execution_options=ALL)
        return [Tenant.model_validate(row, from_attributes=True) for row in rows]


def _plan(plan: Plan) -> dict[str, object]:
    return plan.model_dump(mode="json")


class PostgresKeys:
    """`KeyStore`."""

    def __init__(self, session: AsyncSession) -> None:
        self._rows = TenantRepository(session, KeyRow)

    async def add(self, key: ApiKey) -> None:
        """See the port."""
        await self._rows.add(
            KeyRow(
                tenant_id=key.tenant_id,
                key_id=key.key_id,
                name=key.name,
                scopes=list(key.scopes),
                secret_hash=key.secret_hash,
                created_at=key.created_at,
                created_by=key.created_by,
                expires_at=key.expires_at,
            )
        )

    async def page(self, page: Page) -> list[ApiKey]:
        """See the port."""
        rows = await self._rows.page(KeyRow.key_id, after=page.after, limit=page.limit)
        return [key_of(row) for row in rows]

    async def revoke(self, key_id: str, at: datetime) -> bool:
        """See the port."""
        row = await self._rows.find(lock=True, key_id=key_id)
        if row is not None:
            row.revoked_at = row.revoked_at or at
            await self._rows.save()
        return row is not None


def key_of(row: KeyRow) -> ApiKey:
    """The record of a row."""
    return ApiKey(
        tenant_id=row.tenant_id,
        key_id=row.key_id,
        name=row.name,
        scopes=tuple(Scope(scope) for scope in row.scopes),
        secret_hash=row.secret_hash,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


class PostgresProducers:
    """`ProducerStore`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._rows = TenantRepository(session, ProducerRow)

    async def add(self, producer: Producer) -> bool:
        """See the port."""
        return await add_new(self._session, ProducerRow(**producer.model_dump()))

    async def find(self, key_id: str) -> Producer | None:
        """See the port."""
        row = await self._rows.find(key_id=key_id)
        return None if row is None else Producer.model_validate(row, from_attributes=True)

    async def page(self, page: Page) -> list[Producer]:
        """See the port."""
        rows = await self._rows.page(ProducerRow.key_id, after=page.after, limit=page.limit)
        return [Producer.model_validate(row, from_attributes=True) for row in rows]

    async def revoke(self, key_id: str, at: datetime) -> bool:
        """See the port."""
        row = await self._rows.find(lock=True, key_id=key_id)
        if row is None or row.revoked_at is not None:
            return False
        row.revoked_at = at
        await self._rows.save()
        return True


class PostgresDirectory:
    """`Directory`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def api_key(self, key_id: str) -> ApiKey | None:
        """See the port."""
        row = await self._session.scalar(select(KeyRow).filter_by(key_id=key_id), execution_options=ALL)
        return None if row is None else key_of(row)

    async def producer(self, key_id: str) -> Producer | None:
        """See the port."""
        row = await self._session.scalar(select(ProducerRow).filter_by(key_id=key_id), execution_options=ALL)
        return None if row is None else Producer.model_validate(row, from_attributes=True)
