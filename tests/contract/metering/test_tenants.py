"""Producer keys as the stream finds them, after what the handlers wrote; and the isolation of the tables."""

from __future__ import annotations

from uuid import uuid4

import pytest

from schemas.tenant import Limit, Meter, ProducerScope, Window
from services.kit.clock import HeldClock
from services.kit.errors import PermanentError
from services.kit.persistence.database import Database
from services.metering.adapters.tenants import PostgresProducers, PostgresTenantBook
from services.metering.domain.model import Plan, Producer
from tests.fakes.metering.records import NOON

BOOK = PostgresTenantBook()


def producer(scope: ProducerScope = ProducerScope.TENANT) -> Producer:
    return Producer(f"key-{uuid4()}", uuid4(), "x" * 43, scope)


async def register(database: Database, *producers: Producer) -> None:
    async with database.unit_of_work() as work:
        for found in producers:
            await BOOK.register(work, found)


async def test_registered_keys_are_found_and_others_are_not(database: Database) -> None:
    own, platform = producer(), producer(ProducerScope.PLATFORM)
    await register(database, own, platform)
    producers = PostgresProducers(database, HeldClock(NOON), 2)
    assert await producers.find(own.key_id) == own
    assert await producers.find(platform.key_id) == platform
    assert await producers.find("nobody's") is None


async def test_a_revocation_is_seen_when_the_memory_of_the_key_has_aged(database: Database) -> None:
    found, clock = producer(), HeldClock(NOON)
    producers = PostgresProducers(database, clock, 2)
    await register(database, found)
    assert await producers.find(found.key_id) == found
    async with database.unit_of_work() as work:
        await BOOK.revoke(work, found.key_id)
    clock.advance(1.9)
    assert await producers.find(found.key_id) == found
    clock.advance(0.2)
    assert await producers.find(found.key_id) is None
    await register(database, found)
    assert await producers.find(found.key_id) == found


async def test_a_key_id_belongs_to_whoever_registered_it_first(database: Database) -> None:
    mine = producer()
    await register(database, mine)
    with pytest.raises(PermanentError):
        await register(database, Producer(mine.key_id, uuid4(), "y" * 43, ProducerScope.TENANT))
    assert await PostgresProducers(database, HeldClock(NOON), 0).find(mine.key_id) == mine


async def test_of_two_limits_on_the_same_the_lower_one_holds(database: Database) -> None:
    tenant_id = uuid4()
    limits = tuple(Limit(meter=Meter.API_CALLS, window=Window.DAY, amount=amount) for amount in (9, 5, 7))
    async with database.unit_of_work() as work:
        await BOOK.set_plan(work, Plan(tenant_id, limits))
        driver = await work.driver()
        assert await driver.fetchval("SELECT amount FROM plan_limit WHERE tenant_id = $1", tenant_id) == 5


async def test_the_app_role_sees_one_tenant_and_every_table_forces_it(database: Database, metering_dsn: str) -> None:
    mine, other = producer(), producer()
    await register(database, mine, other)
    app = Database(metering_dsn.replace("_worker", "_app", 1), "/taxiway/metering")
    async with app.unit_of_work(mine.tenant_id) as work:
        rows = await (await work.driver()).fetch("SELECT tenant_id FROM producer_key")
        unforced = await (await work.driver()).fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'metering' AND c.relkind = 'r' AND NOT c.relforcerowsecurity"
        )
    await app.close()
    assert {row["tenant_id"] for row in rows} == {mine.tenant_id}
    assert unforced == []
