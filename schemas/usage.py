"""Usage: what gateways and tenants report. Key: the tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field, model_validator

from schemas.base import ContractModel, EventData, Timestamp
from schemas.tenant import PLATFORM_TENANT, Meter
from schemas.text import Text

MAX_SAMPLES = 500
"""Samples in one record."""
MAX_RECORD_BYTES = 256 * 1024
"""Size of one record's value."""

EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
"""Nothing was measured before: such a time is a mistake, and would open windows nobody reads."""
MAX_HOLD_ID = 128
"""Characters of a hold's name, the tenant's part included."""
MAX_OWN_HOLD_ID = MAX_HOLD_ID - len(f"{PLATFORM_TENANT}:")
"""Characters of the id that a tenant gives its hold."""

Amount = Annotated[int, Field(ge=0, le=2**53)]
SampleTime = Annotated[Timestamp, Field(ge=EARLIEST)]
"""When a request was measured; that it is not in the future is for readers to check, who know the time."""


def hold_name(tenant_id: UUID, hold_id: str) -> str:
    """The name of a hold on the whole platform: a tenant's own name for it must not reach another tenant's hold.

    One that is of this form already stays as it is.
    """
    return hold_id if is_hold_of(tenant_id, hold_id) else f"{tenant_id}:{hold_id}"


def is_hold_of(tenant_id: UUID, name: str) -> bool:
    """Whether the name is of a hold of this tenant."""
    return name.startswith(f"{tenant_id}:")


class UsageSample(ContractModel):
    """One measured request. (tenant, `source` of the record, `id`) is its identity: the same twice counts once."""

    id: Annotated[str, Text(128, shortest=1)]
    """Identity within the source, given by who measured."""
    time: SampleTime
    """When it happened; from 2020 on, and at most 5 minutes after the record is appended to the log."""
    amounts: Annotated[dict[Meter, Amount], Field(min_length=1)]
    """How much, meter by meter, in the meter's unit."""
    hold_id: Annotated[str, Text(MAX_HOLD_ID, shortest=1)] | None = None
    """The quota hold that this sample settles, by its name on the whole platform: `<tenant id>:<own id>`."""


class UsageReported(EventData):
    """A micro-batch of samples of one tenant."""

    type: ClassVar[str] = "taxiway.usage.reported.v1"
    topic: ClassVar[str] = "taxiway.usage.samples.v1"

    tenant_id: UUID
    """The tenant that is charged; must be the signer's own unless the key is the platform's."""
    samples: Annotated[tuple[UsageSample, ...], Field(min_length=1, max_length=MAX_SAMPLES)]
    """The samples."""

    @property
    def key(self) -> str:
        """The tenant id."""
        return str(self.tenant_id)

    @model_validator(mode="after")
    def _ids_are_distinct(self) -> Self:
        if len({sample.id for sample in self.samples}) != len(self.samples):
            raise ValueError("samples: ids must be distinct within a batch")
        return self
