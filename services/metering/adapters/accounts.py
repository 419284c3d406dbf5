"""The ledger in Postgres: raw samples, totals, and what was said about limits. No statement is for one sample alone.

A sample belongs to the record that brought it first: `accept` returns a conflicting row only when its record is the
same one, so a replay counts again what it counted before, and a client's duplicate from another record counts nothing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from schemas.quota import QuotaEvent
from schemas.tenant import Limit, Window
from services.kit.messaging.origin import Origin
from services.kit.persistence.database import Database
from services.kit.persistence.unit_of_work import UnitOfWork
from services.metering.domain.model import LimitedUse, Report, Total, TotalKey

ACCEPT = """
INSERT INTO raw_sample AS r (tenant_id, source, id, time, amounts, source_partition, source_offset)
SELECT $1, $2, s.id, s.time, s.amounts, $3, $4
FROM unnest($5::text[], $6::timestamptz[], $7::jsonb[]) AS s (id, time, amounts) ORDER BY s.id
ON CONFLICT (tenant_id, source, id) DO UPDATE SET source_offset = r.source_offset
WHERE r.source_partition = excluded.source_partition AND r.source_offset = excluded.source_offset
RETURNING id
"""

KEYS = "unnest($1::uuid[], $2::text[], $3::text[], $4::date[], $5::int[])"
COLUMNS = "tenant_id, meter, window_kind, window_start, source_partition"

TOTALS = f"""
SELECT {COLUMNS}, total, hi FROM usage_total JOIN {KEYS} AS k ({COLUMNS}) USING ({COLUMNS})
"""  # noqa: S608

WRITE = f"""
INSERT INTO usage_total AS t ({COLUMNS}, total, hi)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::date[], $5::int[], $6::numeric[], $7::bigint[])
ORDER BY 1, 2, 3, 4, 5
ON CONFLICT ({COLUMNS}) DO UPDATE SET total = excluded.total, hi = excluded.hi WHERE t.hi < excluded.hi
"""  # noqa: S608

LIMITED = f"""
SELECT meter, window_kind, window_start, l.amount, sum(t.total) AS settled
FROM (SELECT DISTINCT k.a AS tenant_id, k.b AS meter, k.c AS window_kind, k.d AS window_start
      FROM {KEYS} AS k (a, b, c, d, e)) AS touched
JOIN plan_limit l USING (tenant_id, meter, window_kind)
JOIN usage_total t USING (tenant_id, meter, window_kind, window_start)
GROUP BY meter, window_kind, window_start, l.amount
ORDER BY meter, window_kind, window_start
"""  # noqa: S608

ANNOUNCE = """
INSERT INTO quota_notice (tenant_id, meter, window_kind, window_start, name) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING name
"""


class PostgresAccounts:
    """The `Accounts` of the service's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PostgresAccount]:
        """See `Accounts.open`."""
        async with self._database.unit_of_work() as work:
            yield PostgresAccount(work, await work.driver())


class PostgresAccount:
    """An open transaction of the ledger."""

    def __init__(self, work: UnitOfWork, driver: Any) -> None:
        self._work = work
        self._driver = driver

    async def accept(self, report: Report) -> frozenset[str]:
        """See `Account.accept`."""
        rows = await self._driver.fetch(
            ACCEPT,
            report.tenant_id,
            report.source,
            report.partition,
            report.offset,
            [sample.id for sample in report.samples],
            [sample.time for sample in report.samples],
            [json.dumps(sample.amounts) for sample in report.samples],
        )
        return frozenset(row["id"] for row in rows)

    async def totals(self, keys: Collection[TotalKey]) -> dict[TotalKey, Total]:
        """See `Account.totals`."""
        rows = await self._driver.fetch(TOTALS, *columns(keys))
        return {key_of(row): Total(int(row["total"]), row["hi"]) for row in rows}

    async def write(self, totals: Mapping[TotalKey, Total]) -> None:
        """See `Account.write`."""
        values = totals.values()
        await self._driver.execute(
            WRITE, *columns(totals), [total.total for total in values], [total.hi for total in values]
        )

    async def limited(self, keys: Collection[TotalKey]) -> list[LimitedUse]:
        """See `Account.limited`."""
        rows = await self._driver.fetch(LIMITED, *columns(keys))
        return [
            LimitedUse(
                Limit(meter=row["meter"], window=row["window_kind"], amount=row["amount"]),
                row["window_start"],
                int(row["settled"]),
            )
            for row in rows
        ]

    async def announce(self, name: str, event: QuotaEvent, origin: Origin) -> bool:
        """See `Account.announce`."""
        start = event.window_start.date()
        said = await self._driver.fetchval(ANNOUNCE, event.tenant_id, event.meter, event.window, start, name)
        if said is None:
            return False
        self._work.emit(event, origin)
        return True


def columns(keys: Collection[TotalKey]) -> tuple[list[Any], ...]:
    """The parts of the keys, each as an array, in the order of COLUMNS."""
    return (
        [key.tenant_id for key in keys],
        [key.meter for key in keys],
        [key.window.value for key in keys],
        [key.window_start for key in keys],
        [key.partition for key in keys],
    )


def key_of(row: Any) -> TotalKey:
    """The key of a row with COLUMNS."""
    return TotalKey(
        row["tenant_id"], row["meter"], Window(row["window_kind"]), row["window_start"], row["source_partition"]
    )
