"""Step 5: the LLM trace as usage over both tenants, half by REST and half straight to Kafka, 5 % of it sent twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from infra.demo.recorded import Trace
from infra.demo.tenants import Tenant
from schemas.tenant import Meter
from schemas.usage import UsageReported, UsageSample

BATCH = 250
SENT_TWICE = 20
"""One in so many samples."""
SOURCE = "/gateways/demo"
PATIENCE_SECONDS = 60.0
OVERSHOOT_SECONDS = 1.0
"""Within this a sample that is counted twice would show."""


@dataclass(slots=True)
class Sent:
    """What was sent, and what REST said of it."""

    again: int = 0
    """Samples that were sent a second time."""
    duplicates: int = 0
    """Samples that REST knew already."""
    expected: dict[str, dict[Meter, int]] = field(default_factory=dict)
    """Totals by tenant id."""


async def send_trace(trace: Trace, tenants: list[Tenant]) -> Sent:
    """Send everything; a repetition takes the same way or the other one, and counts once in either case."""
    sent = Sent()
    for number, tenant in enumerate(tenants):
        own = trace.samples[number :: len(tenants)]
        sent.expected[tenant.tenant_id] = {meter: sum(s.amounts[meter] for s in own) for meter in Meter}
        middle = len(own) // 2
        again = random.Random(number).sample(own, len(own) // SENT_TWICE)
        sent.again += len(again)
        await _by_rest(tenant, own[:middle], sent)
        await _by_kafka(tenant, own[middle:])
        await _by_rest(tenant, again[::2], sent)
        await _by_kafka(tenant, again[1::2])
    return sent


async def _by_rest(tenant: Tenant, samples: Sequence[UsageSample], sent: Sent) -> None:
    async def post(batch: Sequence[UsageSample]) -> None:
        body = {"source": SOURCE, "samples": [sample.model_dump(mode="json") for sample in batch]}
        receipt = await tenant.rest.post("/usage", body)
        sent.duplicates += receipt["duplicates"]

    for group in _chunks(_chunks(samples, BATCH), 4):
        await asyncio.gather(*(post(batch) for batch in group))


async def _by_kafka(tenant: Tenant, samples: Sequence[UsageSample]) -> None:
    for batch in _chunks(samples, BATCH):
        tenant.producer.send(
            UsageReported.model_validate({"tenant_id": tenant.tenant_id, "samples": batch}), source=SOURCE
        )
    await asyncio.to_thread(tenant.producer.flush)


def _chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


@dataclass(frozen=True, slots=True)
class Counted:
    """What the API reports."""

    totals: dict[Meter, int]
    duplicates: int
    is_exact: bool
    """Whether every tenant's totals are what was sent for it."""


async def await_totals(trace: Trace, tenants: list[Tenant], sent: Sent) -> Counted:
    """Read the totals until they are what was sent, or until patience ends; then give them a moment to overshoot."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    counted = await _read(trace, tenants, sent)
    while not _is_complete(counted, sent) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.5)
        counted = await _read(trace, tenants, sent)
    await asyncio.sleep(OVERSHOOT_SECONDS)
    return await _read(trace, tenants, sent)


def usage_faults(trace: Trace, sent: Sent, counted: Counted) -> Iterator[str]:
    """Where the totals that the API reports are not what was sent; nothing when they are exact."""
    if counted.totals != trace.totals:
        yield f"totals are {counted.totals} instead of the file's {trace.totals}"
    if not counted.is_exact:
        yield "a tenant's totals are not its own"
    if counted.duplicates != sent.again:
        yield f"{sent.again} samples were sent twice, {counted.duplicates} were told as duplicates"


def _is_complete(counted: Counted, sent: Sent) -> bool:
    return counted.is_exact and counted.duplicates >= sent.again


async def _read(trace: Trace, tenants: list[Tenant], sent: Sent) -> Counted:
    totals = dict.fromkeys(Meter, 0)
    duplicates, is_exact = sent.duplicates, True
    for tenant in tenants:
        usage = await tenant.rest.get("/usage", **{"from": trace.first_day, "to": datetime.now(UTC).date().isoformat()})
        own = {Meter(item["meter"]): item["total"] for item in usage["meters"]}
        is_exact = is_exact and own == sent.expected[tenant.tenant_id]
        duplicates += usage["duplicates"]
        totals = {meter: totals[meter] + own.get(meter, 0) for meter in Meter}
    return Counted(totals, duplicates, is_exact)
