"""What a record from outside must satisfy to be counted, beyond its schema and its signature."""

from __future__ import annotations

from datetime import datetime, timedelta

from schemas.tenant import ProducerScope
from schemas.usage import MAX_RECORD_BYTES, UsageReported
from services.metering.domain.errors import ForeignTenantError, FutureSampleError, RecordTooLargeError
from services.metering.domain.model import Producer

MAX_AHEAD = timedelta(minutes=5)
"""How far after its record's log-append time a sample may lie: clocks differ."""


def check_size(value: bytes) -> None:
    """Before anything is parsed; raises `RecordTooLargeError`."""
    if len(value) > MAX_RECORD_BYTES:
        raise RecordTooLargeError(f"the record has {len(value)} bytes; at most {MAX_RECORD_BYTES} are allowed")


def check_tenant(producer: Producer, report: UsageReported, claimed: str | None) -> None:
    """Whether the signer may speak for the tenant. `claimed` is the envelope's tenant, which must not differ.

    Raises `ForeignTenantError`.
    """
    if producer.scope is ProducerScope.TENANT and report.tenant_id != producer.tenant_id:
        raise ForeignTenantError("the key may report for its own tenant only", "/tenant_id")
    if claimed is not None and claimed != str(report.tenant_id):
        raise ForeignTenantError("ce_tenantid differs from tenant_id", "ce_tenantid")


def check_times(report: UsageReported, appended_at: datetime) -> None:
    """No sample may lie far in the future; raises `FutureSampleError`.

    Measured against the broker's clock at the append, so that a replay judges as the first reading did.
    """
    for number, sample in enumerate(report.samples):
        if sample.time > appended_at + MAX_AHEAD:
            raise FutureSampleError(
                f"sample {sample.id!r} lies more than {MAX_AHEAD} in the future", f"/samples/{number}/time"
            )
