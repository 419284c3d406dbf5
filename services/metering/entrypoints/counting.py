"""The way of one usage record: read → ledger → table → Redis. On return it may be acknowledged.

The ledger comes first. It takes raw samples and totals in one transaction and decides which samples count, so whatever
stands in the table or in Redis is in the ledger. After a crash anywhere in between the record comes again: its samples
are accepted again, its offset is not above `hi`, and the table and Redis are given the same totals once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from loguru import logger

from schemas.errors import ContractError
from services.kit.clock import Clock
from services.kit.errors import TransientError
from services.kit.messaging.dead_letters import Defect
from services.kit.messaging.origin import Origin
from services.kit.messaging.record import Record
from services.kit.observability import metrics
from services.kit.quota.model import QuotaLedger, Scope, Settlement
from services.kit.resilience import Backoff
from services.metering.domain.model import NOTHING, Report, Total, TotalKey, ended_holds, higher
from services.metering.domain.thresholds import notices
from services.metering.domain.totals import advance, increments, samples_of
from services.metering.entrypoints.intake import Intake
from services.metering.ports import Account, Accounts, SetAside, Totals

ACTOR = "service:metering"
ATTEMPTS = 3
"""Tries of a record that fails unexpectedly, before it is set aside."""


class UsageCounter:
    """Counts the records of a stream, one at a time. The `Reader` of the stream."""

    def __init__(
        self,
        intake: Intake,
        accounts: Accounts,
        totals: Totals,
        quota: QuotaLedger,
        dead_letters: SetAside,
        clock: Clock,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._intake = intake
        self._accounts = accounts
        self._totals = totals
        self._quota = quota
        self._dead_letters = dead_letters
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._compared: set[TotalKey] = set()
        """Totals that were compared with the ledger since their partition was assigned."""

    def forget(self, partitions: Iterable[int]) -> None:
        """See `Reader.forget`: what the table has of them is compared with the ledger at its next use."""
        gone = set(partitions)
        self._compared = {key for key in self._compared if key.partition not in gone}

    async def count(self, record: Record) -> None:
        """See `Reader.count`. What is away is waited for; raises `TripWireError` alone."""
        attempt = 0
        while True:
            try:
                return await self._count_or_set_aside(record)
            except TransientError as error:
                attempt += 1
                logger.warning("usage {}: attempt {} failed: {}", record.position, attempt, error)
                await self._backoff.wait(attempt)

    async def _count_or_set_aside(self, record: Record) -> None:
        try:
            report = await self._intake.read(record)
        except TransientError:
            raise
        except ContractError as error:
            await self._set_aside(record, error.code, error.message)
        except Exception as error:  # a parser broke on what a stranger sent: it must not stop the stream
            logger.opt(exception=error).error("usage {}: cannot be read", record.position)
            await self._set_aside(record, "unreadable", str(error))
        else:
            await self._keep_or_set_aside(record, report)

    async def _keep_or_set_aside(self, record: Record, report: Report) -> None:
        first_failed_at: datetime | None = None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._keep(report)
            except TransientError:
                raise
            except Exception as error:
                first_failed_at = first_failed_at or self._clock.now()
                logger.opt(exception=error).error("usage {}: cannot be counted", record.position)
                if attempt == ATTEMPTS:
                    defect = Defect(type(error).__name__, str(error), attempt, first_failed_at)
                    await self._dead_letters.set_aside(record, defect)
            else:
                self._dead_letters.trip_wire.passed()
                return

    async def _set_aside(self, record: Record, code: str, message: str) -> None:
        defect = Defect(code, message, 1, self._clock.now(), is_our_fault=False)
        await self._dead_letters.set_aside(record, defect)

    async def _keep(self, report: Report) -> None:
        async with self._accounts.open() as account:
            accepted = await account.accept(report)
            added = increments(report, accepted)
            before = await self._before(account, added)
            after = advance(before, added, report.offset)
            await account.write(after)
            await self._announce(account, report, after)
        self._compared |= after.keys()
        for key, total in after.items():
            self._totals.put(key, total)
        await self._quota.settle_all([_settlement(report, key, total) for key, total in after.items()])
        if after != before:
            _measure(report, accepted)

    async def _before(self, account: Account, keys: Iterable[TotalKey]) -> dict[TotalKey, Total]:
        """What the totals are now: the table's, and at first use the ledger's if that counts further."""
        wanted = set(keys)
        unsure = wanted - self._compared
        ledger = await account.totals(unsure) if unsure else {}
        return {key: higher(self._totals.get(key) or NOTHING, ledger.get(key, NOTHING)) for key in wanted}

    async def _announce(self, account: Account, report: Report, after: Mapping[TotalKey, Total]) -> None:
        origin = Origin(report.tenant_id, ACTOR, correlation_id=report.event_id, causation_id=report.event_id)
        for use in await account.limited(after):
            for name, event in notices(report.tenant_id, use).items():
                await account.announce(name, event, origin)


def _settlement(report: Report, key: TotalKey, total: Total) -> Settlement:
    scope = Scope(str(key.tenant_id), key.meter, key.window.value, key.window_start)
    ended = ended_holds(report.tenant_id, samples_of(report, key))
    return Settlement(scope, key.partition, total.total, total.hi, ended)


def _measure(report: Report, accepted: frozenset[str]) -> None:
    metrics.SAMPLES.labels("accepted").inc(len(accepted))
    metrics.SAMPLES.labels("duplicate").inc(len(report.samples) - len(accepted))
