"""What a record from outside must satisfy to be counted, beyond its schema and its signature."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.base import MAX_AHEAD
from schemas.tenant import ProducerScope
from schemas.usage import MAX_RECORD_BYTES, UsageReported
from services.metering.domain.errors import ForeignTenantError, RecordTooLargeError, SampleTimeError
from services.metering.domain.model import Producer


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


def speaker(producer: Producer, report: UsageReported) -> UUID:
    """Whose word the report is: ids are unique within one speaker's sources, so nobody can use up another's.

    What a tenant reports by the API and by a producer of its own is one word, and counts once.
    """
    return report.tenant_id if producer.scope is ProducerScope.API else producer.tenant_id


def check_times(report: UsageReported, appended_at: datetime) -> None:
    """No sample may lie far in the future; raises `SampleTimeError`.

    Measured against the broker's clock at the append, so that a replay judges as the first reading did.
    """
    for number, sample in enumerate(report.samples):
        if sample.time > appended_at + MAX_AHEAD:
            raise SampleTimeError(
                f"sample {sample.id!r} lies more than {MAX_AHEAD} after its record", f"/samples/{number}/time"
            )
