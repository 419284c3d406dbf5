"""Usage: samples are recorded once each, and read back from the running totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from schemas.base import ContractModel
from schemas.envelope import Event
from schemas.tenant import Meter
from schemas.usage import UsageReported, UsageSample
from services.ingest_api.domain.problems import Problem, invalid
from services.ingest_api.ports import DuplicateMarks, UsageLog
from services.ingest_api.usecases.caller import Caller
from services.kit.ids import IdFactory
from services.kit.quota.model import DUPLICATES, QuotaLedger, Scope, day_scopes

MAX_DAYS = 92


class Receipt(ContractModel):
    """What became of the samples of one call."""

    accepted: int
    """Recorded now; they count."""
    duplicates: int
    """Recorded before, or twice in this call; they count once."""


@dataclass(frozen=True, slots=True)
class UsageDesk:
    """Where samples are handed in."""

    marks: DuplicateMarks
    log: UsageLog
    ids: IdFactory

    async def report(self, caller: Caller, samples: Mapping[str, Mapping[str, UsageSample]], total: int) -> Receipt:
        """Record the samples by source and id, of `total` that were sent; on return they are safe.

        Their holds go by their names on the whole platform (`schemas.usage.hold_name`).
        Raises `TransientError` or `Problem`; a retry of the whole call is always right.
        """
        accepted = 0
        for source, batch in samples.items():
            accepted += await self._record(caller, source, batch)
        return Receipt(accepted=accepted, duplicates=total - accepted)

    async def _record(self, caller: Caller, source: str, batch: Mapping[str, UsageSample]) -> int:
        """Mark as pending, deliver, mark as done. Between the last two a crash leaves copies: metering drops those."""
        tenant_id = caller.tenant_id
        fresh = await self.marks.claim(tenant_id, source, list(batch))
        if fresh is None:
            message = "The same samples are being recorded by another call; try again in a moment."
            raise Problem("samples-in-flight", message, headers={"Retry-After": "1"})
        if not fresh:
            return 0
        samples = tuple(sample for sample_id, sample in batch.items() if sample_id in fresh)
        try:
            await self.log.append(self._event(caller, source, samples))
        except BaseException:
            await self.marks.forget(tenant_id, source, list(fresh))
            raise
        await self.marks.done(tenant_id, source, list(fresh))
        return len(fresh)

    def _event(self, caller: Caller, source: str, samples: tuple[UsageSample, ...]) -> Event[UsageReported]:
        return Event(
            id=str(self.ids()),
            source=source,
            time=caller.now,
            data=UsageReported(tenant_id=caller.tenant_id, samples=samples),
            tenantid=str(caller.tenant_id),
            actor=caller.principal.actor,
            correlationid=caller.trace_id,
            traceparent=caller.traceparent,
        )


class DayTotal(ContractModel):
    """What was used on one day."""

    day: date
    total: int


class MeterTotals(ContractModel):
    """What was used of one meter."""

    meter: Meter
    total: int
    days: tuple[DayTotal, ...]
    """Days without use are left out."""


class UsageTotals(ContractModel):
    """What was used over a range of days, both included, UTC. Running totals: they follow within moments."""

    first_day: date
    last_day: date
    meters: tuple[MeterTotals, ...]
    duplicates: int
    """Samples that came again and were not counted again."""


async def totals(ledger: QuotaLedger, tenant_id: str, first: date, last: date, meter: Meter | None) -> UsageTotals:
    """Totals per meter and day; raises `Problem` for a range that cannot be read, and `QuotaUnavailable`."""
    if not first <= last or (last - first).days >= MAX_DAYS:
        raise invalid("", f"from must not lie after to, nor more than {MAX_DAYS} days before it")
    meters = [meter] if meter is not None else list(Meter)
    scopes = [scope for name in (*meters, DUPLICATES) for scope in day_scopes(tenant_id, name, first, last)]
    usages = await ledger.read(scopes)
    settled = {scope: usage.settled for scope, usage in zip(scopes, usages, strict=True) if usage.settled}
    return UsageTotals(
        first_day=first,
        last_day=last,
        meters=tuple(_totals_of(name, settled) for name in meters),
        duplicates=sum(amount for scope, amount in settled.items() if scope.meter == DUPLICATES),
    )


def _totals_of(meter: Meter, settled: Mapping[Scope, int]) -> MeterTotals:
    days = tuple(
        DayTotal(day=scope.window_start, total=amount) for scope, amount in settled.items() if scope.meter == meter
    )
    return MeterTotals(meter=meter, total=sum(day.total for day in days), days=days)
