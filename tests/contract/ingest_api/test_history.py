"""The contract of the history: its order, its numbers, and what is new behind a number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from schemas.base import EventData
from schemas.envelope import Event
from schemas.rollout import PauseRollout, RolloutPaused
from services.ingest_api.adapters.postgres_platform import opener, stores_of
from services.ingest_api.adapters.postgres_views import view_row
from services.ingest_api.domain.view import DeploymentView
from services.ingest_api.handlers import projection_table
from services.ingest_api.ports import OpenStores, Page, Stores, ViewStore
from services.kit.persistence.database import Database
from services.kit.persistence.unit_of_work import UnitOfWork
from tests.fakes.ingest_api.builders import NOW, TENANT, event
from tests.fakes.ingest_api.history import InMemoryHistory, open_history
from tests.fakes.ingest_api.postgres import IngestDatabase


@pytest.fixture
async def database(ingest_database: IngestDatabase) -> AsyncIterator[Database]:
    """As the worker role."""
    made = Database(ingest_database.worker_dsn, "/taxiway/ingest_api")
    yield made
    await made.close()


@pytest.fixture(params=["in memory", "postgres"])
def open_stores(request: pytest.FixtureRequest) -> OpenStores:
    """Both kinds, for one tenant."""
    if request.param == "in memory":
        return open_history(InMemoryHistory())
    return opener(cast(Database, request.getfixturevalue("database")))


def happened(data: EventData, at: datetime = NOW) -> Event[Any]:
    """The event, appended to its topic at that time."""
    made = event(data)
    assert made.position is not None
    return replace(made, position=replace(made.position, appended_at=at))


def paused(about: UUID, reason: str = "why", at: datetime = NOW) -> Event[Any]:
    """An event of the rollout's topic."""
    return happened(RolloutPaused(deployment_id=about, revision=1, reason=reason), at)


async def add(open_stores: OpenStores, *events: Event[Any]) -> None:
    """One transaction that learns of all."""
    async with open_stores(TENANT) as stores:
        for each in events:
            await stores.views.add_history(each.data.deployment_id, each, "words")


async def test_entries_stand_in_the_order_of_the_log_and_are_numbered_as_they_come_in(open_stores: OpenStores) -> None:
    # given one that comes in behind a newer one
    about = uuid4()
    late = happened(PauseRollout(deployment_id=about, reason="why"), NOW - timedelta(seconds=1))
    first, second = paused(about), paused(about)
    await add(open_stores, paused(uuid4()), first, second, late)
    # when
    async with open_stores(TENANT) as stores:
        entries = await stores.views.history(about, Page(10))
        newest = await stores.views.newest(about)
        known = await stores.views.entry(about, second.id)
        elsewhere = await stores.views.entry(uuid4(), second.id)
    # then
    assert [entry.event_id for entry in entries] == [late.id, first.id, second.id]
    by_number = sorted(entries, key=lambda entry: entry.number)
    assert [entry.event_id for entry in by_number] == [first.id, second.id, late.id]
    assert newest == by_number[-1].number
    assert (known, elsewhere) == (by_number[1], None)


async def test_the_news_are_what_came_in_since(open_stores: OpenStores) -> None:
    # given
    about = uuid4()
    first, second, third = paused(about), paused(about), paused(about)
    await add(open_stores, first)
    async with open_stores(TENANT) as stores:
        nothing, reached = await stores.views.newest(uuid4()), await stores.views.newest(about)
    # when one comes again, and one that is older than what was read
    late = happened(PauseRollout(deployment_id=about, reason="why"), NOW - timedelta(seconds=1))
    await add(open_stores, second, third, first)
    await add(open_stores, paused(uuid4()), late)
    # then
    async with open_stores(TENANT) as stores:
        news = await stores.views.news(about, reached, 10)
        part = await stores.views.news(about, reached, 2)
        rest = await stores.views.news(about, max(entry.number for entry in part), 2)
        none = await stores.views.news(about, max(entry.number for entry in news), 10)
    assert nothing == 0
    assert [entry.event_id for entry in news] == [late.id, second.id, third.id]
    assert [entry.event_id for entry in (*part, *rest)] == [second.id, third.id, late.id]
    assert none == []


class Slow:
    """A `ViewStore` that takes its time once it has numbered an entry."""

    def __init__(self, views: ViewStore, has_numbered: asyncio.Event, may_go_on: asyncio.Event) -> None:
        self._views = views
        self._has_numbered = has_numbered
        self._may_go_on = may_go_on

    async def add_history(self, deployment_id: UUID, event: Event[Any], words: str) -> None:
        """See the port."""
        await self._views.add_history(deployment_id, event, words)
        self._has_numbered.set()
        await self._may_go_on.wait()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._views, name)


async def rung(rings: list[UUID], _: UnitOfWork, deployment_id: UUID) -> None:
    """Whom the projection wakes."""
    rings.append(deployment_id)


async def test_numbers_of_a_deployment_are_given_in_the_order_of_the_commits(database: Database) -> None:
    """Otherwise who has read up to a number could have missed a lower one."""
    # given
    about, rings = uuid4(), list[UUID]()
    async with database.unit_of_work(TENANT) as work:
        work.session.add(view_row(DeploymentView(deployment_id=about)))
    first, second = paused(about), paused(about)
    has_numbered, may_go_on = asyncio.Event(), asyncio.Event()

    def slowly(work: UnitOfWork) -> Stores:
        stores = stores_of(work)
        return replace(stores, views=cast(ViewStore, Slow(stores.views, has_numbered, may_go_on)))

    async def project(each: Event[Any], stores: Callable[[UnitOfWork], Stores]) -> None:
        async with database.unit_of_work() as work:
            await projection_table(stores, partial(rung, rings))[RolloutPaused](each, work)

    # when one copy has numbered the first but not committed it, and another one learns of the second
    ahead = asyncio.create_task(project(first, slowly))
    await asyncio.wait_for(has_numbered.wait(), 10)
    behind = asyncio.create_task(project(second, stores_of))
    done, _ = await asyncio.wait({behind}, timeout=0.5)
    # then the other one waits
    assert not done
    may_go_on.set()
    await asyncio.gather(ahead, behind)
    async with opener(database)(TENANT) as stores:
        news = await stores.views.news(about, 0, 10)
    assert [entry.event_id for entry in sorted(news, key=lambda entry: entry.number)] == [first.id, second.id]
    assert rings == [about, about]
