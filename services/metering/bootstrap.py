"""The only place where metering's adapters are built and joined."""

from __future__ import annotations

from schemas.topics import METERING_TENANTS, METERING_USAGE
from services.kit.kit import Kit
from services.kit.messaging.dead_letters import DeadLetters
from services.kit.quota.ledger import RedisQuota
from services.kit.settings import PlatformSettings
from services.metering.adapters.accounts import PostgresAccounts
from services.metering.adapters.books import PostgresBooks
from services.metering.adapters.stream import StreamSettings, UsageStream
from services.metering.adapters.tenants import PostgresProducers, PostgresTenantBook
from services.metering.entrypoints.counting import UsageCounter
from services.metering.entrypoints.intake import Intake
from services.metering.entrypoints.reconciling import LEASE, Reconciler
from services.metering.entrypoints.restoring import QuotaRestorer
from services.metering.handlers import tenant_handlers
from services.metering.settings import MeteringSettings


async def build(platform: PlatformSettings, settings: MeteringSettings) -> int:
    """Build the process and run it; returns its exit status."""
    kit = Kit("metering", platform, settings.postgres_dsn.get_secret_value())
    quota = RedisQuota(platform.redis_url.get_secret_value())
    books = PostgresBooks(kit.database)
    reconciler = Reconciler(books, kit.clock, settings.reconcile_days)
    try:
        return await kit.run(
            QuotaRestorer(books, quota),
            kit.lease_loop(
                LEASE,
                reconciler.tick,
                interval=settings.reconcile_interval_seconds,
                on_release=reconciler.let_go,
            ),
            kit.consumer(METERING_TENANTS, tenant_handlers(PostgresTenantBook())),
            _stream(kit, settings, quota),
            health_port=settings.health_port,
        ).run()
    finally:
        await quota.close()


def _stream(kit: Kit, settings: MeteringSettings, quota: RedisQuota) -> UsageStream:
    platform = kit.platform
    stream = UsageStream(StreamSettings(platform.kafka_bootstrap, platform.instance, platform.session_timeout_seconds))
    producers = PostgresProducers(kit.database, kit.clock, settings.key_cache_seconds)
    stream.feed(
        UsageCounter(
            Intake(producers, kit.clock, patience_seconds=settings.key_patience_seconds),
            PostgresAccounts(kit.database),
            stream.totals,
            quota,
            DeadLetters(kit.producer, METERING_USAGE, kit.clock),
            kit.clock,
        )
    )
    return stream
