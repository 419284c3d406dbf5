"""Producer keys and plan limits in Postgres."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from schemas.tenant import ProducerScope
from services.kit.clock import Clock
from services.kit.errors import PermanentError
from services.kit.persistence.database import Database
from services.kit.persistence.unit_of_work import UnitOfWork
from services.metering.domain.model import Plan, Producer

REGISTER = """
INSERT INTO producer_key AS k (tenant_id, key_id, public_key, scope) VALUES ($1, $2, $3, $4)
ON CONFLICT (key_id) DO UPDATE
SET public_key = excluded.public_key, scope = excluded.scope, revoked_at = NULL
WHERE k.tenant_id = excluded.tenant_id
RETURNING key_id
"""
REVOKE = "UPDATE producer_key SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL"
FIND = "SELECT tenant_id, public_key, scope FROM producer_key WHERE key_id = $1 AND revoked_at IS NULL"
CLEAR_PLAN = "DELETE FROM plan_limit WHERE tenant_id = $1"
SET_PLAN = """
INSERT INTO plan_limit (tenant_id, meter, window_kind, amount)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])
"""


class PostgresTenantBook:
    """The `TenantBook`: writes in the transaction of the message."""

    async def register(self, work: UnitOfWork, producer: Producer) -> None:
        """See `TenantBook.register`."""
        taken = await (await work.driver()).fetchval(
            REGISTER, producer.tenant_id, producer.key_id, producer.public_key, producer.scope.value
        )
        if taken is None:
            raise PermanentError(f"key id {producer.key_id!r} belongs to another tenant")

    async def revoke(self, work: UnitOfWork, key_id: str) -> None:
        """See `TenantBook.revoke`."""
        await (await work.driver()).execute(REVOKE, key_id)

    async def set_plan(self, work: UnitOfWork, plan: Plan) -> None:
        """See `TenantBook.set_plan`. Of two limits on one meter and window the lower one holds."""
        limits: dict[tuple[str, str], int] = {}
        for limit in plan.limits:
            place = (limit.meter.value, limit.window.value)
            limits[place] = min(limit.amount, limits.get(place, limit.amount))
        driver = await work.driver()
        await driver.execute(CLEAR_PLAN, plan.tenant_id)
        meters, windows = [meter for meter, _ in limits], [window for _, window in limits]
        await driver.execute(SET_PLAN, plan.tenant_id, meters, windows, list(limits.values()))


class PostgresProducers:
    """The `Producers`, remembered for a short while. A key that is not known is looked up each time."""

    def __init__(self, database: Database, clock: Clock, cache_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._cache_for = timedelta(seconds=cache_seconds)
        self._cached: dict[str, tuple[datetime, Producer]] = {}

    async def find(self, key_id: str) -> Producer | None:
        """See `Producers.find`. A revocation is seen when what is remembered has grown too old."""
        now = self._clock.now()
        cached = self._cached.get(key_id)
        if cached is not None and now - cached[0] < self._cache_for:
            return cached[1]
        producer = await self._look_up(key_id)
        if producer is None:
            self._cached.pop(key_id, None)
        else:
            self._cached[key_id] = (now, producer)
        return producer

    async def _look_up(self, key_id: str) -> Producer | None:
        async with self._database.unit_of_work() as work:
            row: Any = await (await work.driver()).fetchrow(FIND, key_id)
        if row is None:
            return None
        return Producer(key_id, row["tenant_id"], row["public_key"], ProducerScope(row["scope"]))
