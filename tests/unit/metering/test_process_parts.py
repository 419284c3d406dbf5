"""The loops and handlers beside the counting, the settings, and the reading of Faust's messages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from schemas.envelope import Event
from schemas.tenant import (
    Limit,
    Meter,
    Plan,
    PlanChanged,
    ProducerKeyRegistered,
    ProducerKeyRevoked,
    ProducerScope,
    TenantCreated,
    TenantEvent,
    Window,
)
from services.kit.clock import HeldClock
from services.kit.errors import PermanentError
from services.kit.observability import metrics
from services.kit.persistence.leases import Lease
from services.kit.quota.model import Usage, day_scope
from services.metering.adapters.stream import StreamSettings, record_of
from services.metering.domain.model import Total, TotalKey
from services.metering.entrypoints.reconciling import Reconciler
from services.metering.entrypoints.restoring import CHUNK, QuotaRestorer
from services.metering.handlers import tenant_handlers
from services.metering.settings import MeteringSettings
from tests.fakes.metering.ledger import InMemoryAccounts, InMemoryTenantBook
from tests.fakes.metering.records import NOON
from tests.fakes.quota.ledger import InMemoryQuota

TENANT = uuid4()
KEY = ProducerKeyRegistered(tenant_id=TENANT, key_id="k", public_key="x" * 43, scope=ProducerScope.TENANT)
LIMIT = Limit(meter=Meter.API_CALLS, window=Window.DAY, amount=5)


async def told(book: InMemoryTenantBook, *events: TenantEvent) -> None:
    table = tenant_handlers(book)
    work: Any = None
    for data in events:
        await table[type(data)](Event("1", "/ingest", NOON, data), work)


async def test_keys_are_believed_until_revoked() -> None:
    book = InMemoryTenantBook()
    await told(book, KEY)
    assert book.producers["k"].tenant_id == TENANT
    await told(book, ProducerKeyRevoked(tenant_id=TENANT, key_id="k", reason="lost"))
    assert book.producers == {}


async def test_no_tenant_takes_over_anothers_key_id() -> None:
    book = InMemoryTenantBook()
    with pytest.raises(PermanentError):
        await told(book, KEY, KEY.model_copy(update={"tenant_id": uuid4()}))


async def test_plans_give_limits() -> None:
    book = InMemoryTenantBook()
    await told(book, TenantCreated(tenant_id=TENANT, name="t", plan=Plan(name="free")))
    await told(book, PlanChanged(tenant_id=TENANT, plan=Plan(name="paid", limits=(LIMIT,))))
    assert book.plans[TENANT].limits == (LIMIT,)


def total_key(tenant_id: UUID = TENANT, partition: int = 0) -> TotalKey:
    return TotalKey(tenant_id, "api_calls", Window.DAY, NOON.date(), partition)


async def test_a_lost_data_set_is_restored_from_the_ledger_once() -> None:
    books, quota = InMemoryAccounts(), InMemoryQuota(HeldClock(NOON))
    tenants = [uuid4() for _ in range(CHUNK + 1)]
    books.rows.totals = {total_key(tenant_id): Total(9, 4) for tenant_id in tenants}
    restorer = QuotaRestorer(books, quota, make_id=lambda: UUID(int=7))
    assert not await restorer.restore_if_lost()

    quota.lose()
    assert await restorer.restore_if_lost()

    assert quota.epoch == str(UUID(int=7))
    usages = await quota.read([day_scope(str(tenant_id), "api_calls", NOON.date()) for tenant_id in tenants])
    assert usages == [Usage(settled=9)] * len(tenants)
    assert not await quota.settle(day_scope(str(tenants[0]), "api_calls", NOON.date()), 0, 9, 4)


async def test_the_restorer_goes_on_while_redis_is_away_and_stops_when_told() -> None:
    stopping = asyncio.Event()
    quota = Flickering(HeldClock(NOON), stopping)
    quota.lose()
    async with asyncio.timeout(5):
        await QuotaRestorer(InMemoryAccounts(), quota, interval=0.001).run(stopping)
    assert quota.epoch is not None


class Flickering(InMemoryQuota):
    """Is away at the first two looks; says stop when it was restored."""

    def __init__(self, clock: HeldClock, stopping: asyncio.Event) -> None:
        super().__init__(clock)
        self._looks, self._stopping = 0, stopping

    async def is_intact(self) -> bool:
        self._looks += 1
        self.is_away = self._looks <= 2
        return await super().is_intact()

    async def mark_intact(self, epoch: str) -> None:
        await super().mark_intact(epoch)
        self._stopping.set()


class Drifting(InMemoryAccounts):
    """Differs in one meter; remembers since when it was asked."""

    since: date | None = None

    async def drift(self, since: date) -> Mapping[str, int]:
        self.since = since
        return {"api_calls": 3, "input_tokens": 0}


async def test_drift_is_published_by_meter() -> None:
    books = Drifting()
    reconciler = Reconciler(books, HeldClock(NOON), days=2)
    await reconciler.tick(Lease("reconciliation", "me", 1))
    assert books.since == date(2026, 3, 13)
    assert metrics.METERING_DRIFT.labels("api_calls")._value.get() == 3
    assert metrics.METERING_DRIFT.labels("input_tokens")._value.get() == 0
    # and taken down when another copy compares
    reconciler.let_go()
    assert REGISTRY.get_sample_value("taxiway_metering_drift", {"meter": "api_calls"}) is None


@pytest.mark.parametrize("headers", [[("a", b"1"), ("a", b"2")], (("a", b"1"), ("a", b"2"))])
def test_messages_become_records_untouched(headers: Any) -> None:
    message = SimpleNamespace(
        topic="t", partition=3, offset=9, key=b"k", value=None, headers=headers, timestamp=1767225600.123
    )
    found = record_of(message)
    assert (found.topic, found.partition, found.offset, found.key, found.value) == ("t", 3, 9, b"k", None)
    assert found.headers == [("a", b"1"), ("a", b"2")]
    assert found.timestamp_ms == 1767225600123


def test_headers_that_the_library_gives_as_a_mapping_are_taken_too() -> None:
    message = SimpleNamespace(
        topic="t", partition=0, offset=0, key=None, value=b"", headers={"a": b"1"}, timestamp=None
    )
    assert record_of(message).headers == [("a", b"1")]
    assert StreamSettings("localhost:9092", "0").group == "taxiway.metering.usage"


def test_settings_come_from_the_environment_and_hide_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIWAY_METERING_POSTGRES_DSN", "postgresql://u:hidden@h/d")
    monkeypatch.setenv("TAXIWAY_METERING_KEY_PATIENCE_SECONDS", "3")
    settings = MeteringSettings()
    assert settings.key_patience_seconds == 3
    assert "hidden" not in repr(settings)
