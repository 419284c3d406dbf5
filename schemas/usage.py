"""Usage: what gateways and tenants report. Key: the tenant."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field, model_validator

from schemas.base import ContractModel, EventData, Timestamp
from schemas.tenant import Meter

MAX_SAMPLES = 500
"""Samples in one record."""
MAX_RECORD_BYTES = 256 * 1024
"""Size of one record's value."""

Amount = Annotated[int, Field(ge=0, le=2**53)]


class UsageSample(ContractModel):
    """One measured request. (tenant, `source` of the record, `id`) is its identity: the same twice counts once."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    """Identity within the source, given by who measured."""
    time: Timestamp
    """When it happened; at most 5 minutes in the future."""
    amounts: Annotated[dict[Meter, Amount], Field(min_length=1)]
    """How much, meter by meter, in the meter's unit."""
    hold_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """The quota hold that this sample settles."""


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
