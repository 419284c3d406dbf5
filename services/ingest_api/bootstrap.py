"""The only place where ingest's adapters are built and joined."""

from __future__ import annotations

import secrets
from uuid import UUID

from schemas.topics import INGEST_ADMISSION, INGEST_PROJECTION
from services.ingest_api.adapters.kafka_usage import KafkaUsageLog, load_signing_key
from services.ingest_api.adapters.postgres_platform import opener, stores_of
from services.ingest_api.adapters.redis_marks import RedisDuplicateMarks
from services.ingest_api.adapters.tokens import JwtTokens
from services.ingest_api.entrypoints.bell import CHANNEL, Bell
from services.ingest_api.entrypoints.http.app import make_app
from services.ingest_api.entrypoints.http.desk import Desk
from services.ingest_api.entrypoints.registration import KeyRegistration
from services.ingest_api.entrypoints.server import RestServer
from services.ingest_api.handlers import admission_table, projection_table
from services.ingest_api.ports import Transactions
from services.ingest_api.settings import IngestSettings
from services.ingest_api.usecases.producers import Authenticator
from services.ingest_api.usecases.quota import QuotaDesk
from services.ingest_api.usecases.usage import UsageDesk
from services.kit.checkpoints import Reached, pass_by
from services.kit.clock import Clock
from services.kit.ids import new_id
from services.kit.kit import Kit
from services.kit.messaging.lag import LagProbe
from services.kit.persistence.database import Database
from services.kit.persistence.pruning import Retention
from services.kit.persistence.unit_of_work import UnitOfWork
from services.kit.persistence.wakeup import Listener, notify
from services.kit.quota.ledger import RedisQuota
from services.kit.redis_breaker import RedisBreaker
from services.kit.service import Component
from services.kit.settings import PlatformSettings

REPLIES = Retention("reply", "created_at", days=7)
"""How long an Idempotency-Key is remembered."""
QUESTIONS = Retention("capacity_question", "asked_at", days=7)
"""How long an answer about capacity can be looked at; it is soon out of date."""


async def run(
    platform: PlatformSettings,
    settings: IngestSettings,
    *,
    clock: Clock | None = None,
    reached: Reached = pass_by,
) -> int:
    """Build one process and run it until SIGTERM; returns the exit status.

    REST comes last, so that it stops first: what it accepted is still relayed.
    """
    kit = Kit("ingest_api", platform, settings.worker_dsn.get_secret_value(), clock=clock, reached=reached)
    tenants = Database(
        settings.postgres_dsn.get_secret_value(),
        kit.source,
        pool_size=settings.pool_size,
        clock=kit.clock,
        breaker=kit.database.breaker,
    )
    redis_url, redis_breaker = platform.redis_url.get_secret_value(), RedisBreaker()
    ledger = RedisQuota(redis_url, breaker=redis_breaker)
    marks = RedisDuplicateMarks(redis_url, breaker=redis_breaker)
    try:
        components = _components(kit, settings, tenants, ledger, marks)
        return await kit.run(*components, health_port=settings.health_port, retentions=[REPLIES, QUESTIONS]).run()
    finally:
        for part in (tenants, ledger, marks):
            await part.close()


def _components(
    kit: Kit, settings: IngestSettings, tenants: Database, ledger: RedisQuota, marks: RedisDuplicateMarks
) -> list[Component]:
    transactions = Transactions(tenant=opener(tenants), platform=opener(kit.database))
    key = load_signing_key(settings.signing_key_file)
    bell, lag = Bell(), LagProbe(kit.platform.kafka_bootstrap, clock=kit.clock)
    usage = UsageDesk(marks, KafkaUsageLog(kit.producer, key), new_id)
    desk = Desk(
        transactions=transactions,
        tokens=JwtTokens(settings.jwks_file, settings.jwt_issuer, settings.jwt_audience),
        usage=usage,
        quota=QuotaDesk(ledger, usage),
        ledger=ledger,
        lag=lag,
        bell=bell,
        clock=kit.clock,
        ids=new_id,
        secrets=lambda: secrets.token_urlsafe(32),
    )
    return [
        KeyRegistration(transactions.platform, key, kit.clock),
        lag,
        Listener(kit.database, CHANNEL, bell.hear),
        bell,
        kit.consumer(INGEST_PROJECTION, projection_table(stores_of, _ring)),
        kit.consumer(
            INGEST_ADMISSION,
            admission_table(stores_of, new_id),
            authenticate=Authenticator(transactions.platform),
        ),
        RestServer(make_app(desk), settings.host, settings.port, bell),
    ]


async def _ring(work: UnitOfWork, deployment_id: UUID) -> None:
    await notify(work, CHANNEL, str(deployment_id))
