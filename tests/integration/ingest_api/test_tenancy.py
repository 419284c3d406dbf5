"""Both belts of isolation: the ORM narrows every statement, the database even what goes past the ORM."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import aliased

from schemas.tenant import Plan
from services.ingest_api.adapters.postgres_platform import opener
from services.ingest_api.adapters.tables import ModelRow, TenantRow, VersionRow
from services.ingest_api.ports import Stores, Transactions
from services.kit.persistence.database import Database
from services.kit.persistence.tenancy import (
    ACROSS_TENANTS,
    ForeignTenantError,
    MissingTenantError,
    TenantRepository,
)
from tests.fakes.ingest_api.application import OPERATOR, Application
from tests.fakes.ingest_api.builders import TENANT
from tests.fakes.ingest_api.postgres import IngestDatabase

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOT_A_TENANTS_OWN = {f"/api/v1/{path}" for path in ("capacity", "capacity/hints", "capacity/map", "lag")}
"""What operators alone may read, and the GPU map, whose amounts are everybody's."""


def row(name: str, tenant_id: UUID | None = None) -> ModelRow:
    """A model; of the session's tenant unless one is given."""
    fields = {} if tenant_id is None else {"tenant_id": tenant_id}
    return ModelRow(name=name, description="", created_at=NOW, **fields)


class Two:
    """Two tenants with one model each, of the same name; the worker role, which row-level security lets see both."""

    def __init__(self, worker: Database, app: Database) -> None:
        self.worker, self.app = worker, app
        self.ours, self.theirs = uuid4(), uuid4()


@pytest.fixture
async def two(ingest_database: IngestDatabase) -> AsyncIterator[Two]:
    made = Two(
        Database(ingest_database.worker_dsn, "/taxiway/ingest_api"),
        Database(ingest_database.app_dsn, "/taxiway/ingest_api"),
    )
    for tenant_id in (made.ours, made.theirs):
        async with made.worker.unit_of_work(tenant_id) as work:
            await TenantRepository(work.session, ModelRow).add(row("m"))
            await TenantRepository(work.session, VersionRow).add(
                VersionRow(model="m", version="1", artifact=str(tenant_id), size_mib=1, created_at=NOW)
            )
    yield made
    await made.worker.close()
    await made.app.close()


async def test_every_kind_of_read_is_narrowed(two: Two) -> None:
    async with two.worker.unit_of_work(two.ours) as work:
        session = work.session
        other = aliased(ModelRow)
        joined = select(VersionRow.artifact).join(ModelRow, ModelRow.name == VersionRow.model)
        inner = select(ModelRow.name).where(ModelRow.name == "m").subquery()
        assert [model.tenant_id for model in await session.scalars(select(ModelRow))] == [two.ours]
        assert await session.scalar(select(func.count()).select_from(ModelRow)) == 1
        assert (await session.scalars(joined)).all() == [str(two.ours)]
        assert [model.tenant_id for model in await session.scalars(select(other))] == [two.ours]
        assert len((await session.execute(select(inner))).all()) == 1
        assert await session.get(ModelRow, (two.theirs, "m")) is None
        repository = TenantRepository(session, ModelRow)
        assert len(await repository.page(ModelRow.name, after=None, limit=10)) == 1
        assert await repository.find(name="m", tenant_id=two.theirs) is None


async def test_bulk_changes_are_narrowed(two: Two) -> None:
    async with two.worker.unit_of_work(two.ours) as work:
        await work.session.execute(update(VersionRow).values(artifact="changed"))
        await work.session.execute(delete(VersionRow).where(VersionRow.model == "m"))
    async with two.worker.unit_of_work(two.theirs) as work:
        assert await work.session.scalar(select(VersionRow.artifact)) == str(two.theirs)


async def test_without_a_tenant_nothing_is_said(two: Two) -> None:
    async with two.worker.unit_of_work() as work:
        with pytest.raises(MissingTenantError):
            await work.session.scalars(select(ModelRow))
        with pytest.raises(MissingTenantError):
            await TenantRepository(work.session, ModelRow).add(row("x", two.ours))
        work.session.expunge_all()


async def test_all_tenants_are_seen_by_who_says_so(two: Two) -> None:
    async with two.worker.unit_of_work() as work:
        found = await work.session.scalars(select(ModelRow), execution_options={ACROSS_TENANTS: True})
        assert {two.ours, two.theirs} <= {model.tenant_id for model in found}


async def test_an_object_of_another_tenant_cannot_be_written(two: Two) -> None:
    async with two.worker.unit_of_work(two.ours) as work:
        with pytest.raises(ForeignTenantError):
            await TenantRepository(work.session, ModelRow).add(row("x", two.theirs))
        work.session.expunge_all()
        with pytest.raises(TypeError, match="adding an object"):
            await work.session.execute(insert(ModelRow).values(tenant_id=two.theirs, name="x"))


async def test_the_database_narrows_what_goes_past_the_orm(two: Two) -> None:
    everything = text("SELECT tenant_id FROM model")
    async with two.app.unit_of_work(two.ours) as work:
        assert {found.tenant_id for found in await work.connection.execute(everything)} == {two.ours}
        changed = await work.connection.execute(text("UPDATE model SET description = 'x'"))
        assert changed.rowcount == 1
    async with two.app.unit_of_work() as work:
        assert (await work.connection.execute(everything)).all() == []
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with two.app.unit_of_work(two.ours) as work:
            await work.connection.execute(
                text("INSERT INTO model (tenant_id, name, description, created_at) VALUES (:t, 'x', '', now())"),
                {"t": two.theirs},
            )


async def test_a_tenant_does_not_stay_on_a_pooled_connection(two: Two) -> None:
    async with two.app.unit_of_work(two.ours):
        pass
    async with two.app.unit_of_work() as work:
        assert (await work.connection.execute(text("SELECT count(*) FROM model"))).scalar() == 0


@dataclass
class Opened:
    """The two ways into the database, and which tenants the worker's was opened for."""

    worker: Database
    app: Database
    as_worker: list[UUID | None] = field(default_factory=list)

    @property
    def transactions(self) -> Transactions:
        """Both ways; the worker's is watched."""
        open_worker = opener(self.worker)

        def watched(tenant_id: UUID | None) -> AbstractAsyncContextManager[Stores]:
            self.as_worker.append(tenant_id)
            return open_worker(tenant_id)

        return Transactions(tenant=opener(self.app), platform=watched)


async def test_a_tenants_own_callers_are_kept_to_it_by_the_database(two: Two) -> None:
    """Every route that reads one of the tenant's resources is served by the app role, which cannot see another's."""
    # given
    opened = Opened(two.worker, two.app)
    application = Application(opened.transactions)
    plan = Plan(name="team").model_dump(mode="json")
    for tenant_id in (TENANT, two.theirs):
        async with two.worker.unit_of_work(tenant_id) as work:
            here = TenantRow(tenant_id=tenant_id, name=f"t-{tenant_id}", plan=plan, created_at=NOW)
            await work.session.merge(here)
    key = {"name": "ci", "scopes": ["read"]}
    created = await application.send("POST", f"/tenants/{TENANT}/keys", json=key)
    assert created.status_code == 201
    # when
    paths = [
        path.replace("{tenant_id}", str(TENANT)).replace("{name}", "m")
        for path, methods in application.app.openapi()["paths"].items()
        if "get" in methods
        and not any(part in path for part in ("{deployment_id}", "{question_id}", "/problems"))
        and path not in NOT_A_TENANTS_OWN
    ]
    answers = {path: await application.send("GET", path) for path in paths}
    revoked = await application.send("DELETE", f"/tenants/{TENANT}/keys/{created.json()['key_id']}")
    # then
    assert len(paths) >= 8
    assert opened.as_worker == []
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code >= 500} == {}
    assert answers[f"/api/v1/tenants/{TENANT}"].json()["name"] == f"t-{TENANT}"
    assert [item["name"] for item in answers[f"/api/v1/tenants/{TENANT}/keys"].json()["items"]][-1] == "ci"
    assert revoked.status_code == 204
    # and operators go on seeing every tenant, as the worker role
    seen = [await application.send("GET", f"/tenants/{one}", OPERATOR) for one in (TENANT, two.theirs)]
    assert [answer.status_code for answer in seen] == [200, 200]
    assert opened.as_worker == [TENANT, two.theirs]
