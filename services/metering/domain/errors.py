"""Why a record from outside is refused, beside what `schemas.errors` knows. It becomes a dead letter.

ContractError (schemas)
├── RecordTooLargeError   the value is larger than a record may be
├── ForeignTenantError    the signer may not speak for the tenant of the samples
└── SampleTimeError       a sample lies in the future
"""

from __future__ import annotations

from schemas.errors import ContractError


class RecordTooLargeError(ContractError):
    """The value is larger than MAX_RECORD_BYTES."""

    code = "too-large"


class ForeignTenantError(ContractError):
    """A tenant's key, samples of another tenant."""

    code = "foreign-tenant"


class SampleTimeError(ContractError):
    """A sample's time is too far after the record was appended."""

    code = "sample-time"
