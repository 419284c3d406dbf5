"""Tenants, their plans and the public keys of their Kafka producers. Key: the tenant."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field, model_validator

from schemas.base import ContractModel, EventData, KeyId, Milli, Name, Reason, Word
from schemas.errors import FieldError

PLATFORM_TENANT = UUID(int=0)
"""Key of what belongs to no tenant but to the platform, such as the ingest service's own producer key."""


class Meter(StrEnum):
    """What is counted."""

    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    API_CALLS = "api_calls"


class Window(StrEnum):
    """The span a limit applies to, in UTC."""

    DAY = "day"
    MONTH = "month"


class Limit(ContractModel):
    """A hard limit on one meter per window."""

    meter: Meter
    """What is limited."""
    window: Window
    """Per day or per month, UTC."""
    amount: Annotated[int, Field(ge=0, le=2**53)]
    """The limit, in the meter's unit."""


class GpuQuota(ContractModel):
    """A tenant's share of the GPUs of one model in a pool.

    The guarantee is the tenant's own. What others leave of theirs may be borrowed, up to a limit; what it leaves of its
    own is lent, up to a limit, and comes back by draining what borrowed it.
    """

    gpu_model: Word = ""
    """Model of GPU; empty = all models together."""
    guaranteed_milli: Milli
    """Thousandths of a GPU that the tenant can always have."""
    borrowing_limit_milli: Milli | None = None
    """Most that it may hold beyond the guarantee; None = no limit."""
    lending_limit_milli: Milli | None = None
    """Most of an unused guarantee that others may hold; None = all of it."""


DEFAULT_MAX_WAITING_REQUESTS = 1000
"""Of a plan that does not say."""


class Plan(ContractModel):
    """What a tenant may use."""

    name: Name
    """Name of the plan, such as `team`."""
    max_models: Annotated[int, Field(ge=0, le=2**53)] = 100
    """Registered models."""
    max_concurrent_gpu_milli: Annotated[int, Field(ge=0, le=2**53)] = 100_000
    """Thousandths of a GPU reserved at one time; the scheduler enforces it."""
    max_waiting_requests: Annotated[int, Field(ge=0, le=2**53)] = DEFAULT_MAX_WAITING_REQUESTS
    """Reservations that may wait in one pool at a time; a request that would have to wait beyond it is refused. What
    waits already when the limit is lowered, or comes back because its node was lost, goes on waiting."""
    limits: tuple[Limit, ...] = ()
    """Limits on usage; no entry = unlimited."""
    gpu_quotas: Annotated[tuple[GpuQuota, ...], Field(max_length=64)] = ()
    """Shares of the pool by GPU model; a model without an entry is shared by weight alone."""
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Share of what is nobody's guarantee, relative to the other tenants'."""

    @model_validator(mode="after")
    def _one_quota_a_model(self) -> Self:
        models = [quota.gpu_model for quota in self.gpu_quotas]
        if len(models) != len(set(models)):
            raise FieldError("gpu_quotas", "gpu_quotas must name each gpu_model once")
        return self


class TenantEvent(EventData):
    """Base of what is recorded about one tenant."""

    topic: ClassVar[str] = "taxiway.tenant.events.v1"

    tenant_id: UUID
    """The tenant."""

    @property
    def key(self) -> str:
        """The tenant id."""
        return str(self.tenant_id)


class TenantCreated(TenantEvent):
    """A tenant exists."""

    type: ClassVar[str] = "taxiway.tenant.created.v1"

    name: Name
    """Unique name."""
    plan: Plan
    """What it may use."""


class PlanChanged(TenantEvent):
    """A tenant may use more or less from now on."""

    type: ClassVar[str] = "taxiway.tenant.plan-changed.v1"

    plan: Plan
    """The new plan."""


class TenantSuspended(TenantEvent):
    """A tenant may start nothing new."""

    type: ClassVar[str] = "taxiway.tenant.suspended.v1"

    reason: Reason
    """Why."""


class TenantResumed(TenantEvent):
    """A suspension ended."""

    type: ClassVar[str] = "taxiway.tenant.resumed.v1"

    reason: Reason
    """Why."""


class ProducerScope(StrEnum):
    """For whom a producer key may speak."""

    TENANT = "tenant"
    """For its tenant alone."""
    API = "api"
    """For the tenant whose credential the API has checked: what it signs is that tenant's own word."""
    PLATFORM = "platform"
    """For all tenants, in its own name: gateways of the platform."""


class ProducerKeyRegistered(TenantEvent):
    """Records signed with this key are believed from now on."""

    type: ClassVar[str] = "taxiway.tenant.producer-key-registered.v1"

    key_id: KeyId
    """The `kid` of its signatures, unique on the platform."""
    public_key: Annotated[str, Field(min_length=43, max_length=43, pattern=r"^[A-Za-z0-9_-]+$")]
    """Ed25519 public key, base64url without padding (the `x` of its JWK)."""
    scope: ProducerScope
    """For whom its records may speak."""


class ProducerKeyRevoked(TenantEvent):
    """Records signed with this key are no longer believed."""

    type: ClassVar[str] = "taxiway.tenant.producer-key-revoked.v1"

    key_id: KeyId
    """The key."""
    reason: Reason
    """Why."""
