"""The ledger as a whole: what is settled, and whether it agrees with the raw samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from schemas.tenant import Meter
from services.kit.persistence.database import Database
from services.metering.adapters.accounts import COLUMNS, key_of
from services.metering.domain.model import Total, TotalKey

SECONDS = 300.0
"""These read everything, and may take long."""

ALL = f"SELECT {COLUMNS}, total, hi FROM usage_total"  # noqa: S608

DRIFT = """
WITH raw AS (
    SELECT tenant_id, amount.key AS meter, (time AT TIME ZONE 'UTC')::date AS day, sum(amount.value::numeric) AS used
    FROM raw_sample, jsonb_each_text(amounts) AS amount
    WHERE time >= ($1::date)::timestamp AT TIME ZONE 'UTC'
    GROUP BY 1, 2, 3
), settled AS (
    SELECT tenant_id, meter, window_start AS day, sum(total) AS used
    FROM usage_total WHERE window_kind = 'day' AND window_start >= $1 AND meter <> 'duplicates'
    GROUP BY 1, 2, 3
)
SELECT meter, sum(abs(coalesce(raw.used, 0) - coalesce(settled.used, 0))) AS drift
FROM raw FULL JOIN settled USING (tenant_id, meter, day)
GROUP BY meter
"""
"""One statement, so one snapshot: a record that is counted meanwhile is in both or in neither."""


class PostgresBooks:
    """The `Books` of the service's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all_totals(self) -> Sequence[tuple[TotalKey, Total]]:
        """See `Books.all_totals`."""
        async with self._database.unit_of_work() as work:
            rows = await (await work.driver()).fetch(ALL, timeout=SECONDS)
        return [(key_of(row), Total(int(row["total"]), row["hi"])) for row in rows]

    async def drift(self, since: date) -> Mapping[str, int]:
        """See `Books.drift`. Differences of either sign add up, so that they cannot cancel out."""
        async with self._database.unit_of_work() as work:
            rows = await (await work.driver()).fetch(DRIFT, since, timeout=SECONDS)
        return {meter.value: 0 for meter in Meter} | {row["meter"]: int(row["drift"]) for row in rows}
