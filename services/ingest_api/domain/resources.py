"""What REST shows of tenants, keys, producers and models; also what the stores keep of them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.base import ContractModel, Name
from schemas.tenant import Plan, ProducerScope
from services.ingest_api.domain.identity import Scope


class Tenant(ContractModel):
    """A team that deploys models."""

    tenant_id: UUID
    name: Name
    """Unique on the platform."""
    plan: Plan
    """What it may use."""
    suspended_reason: str | None = None
    """Why it may start nothing new; None when it may."""
    created_at: datetime


class KeyView(ContractModel):
    """An API key, without its secret."""

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class Producer(ContractModel):
    """A registered key of a Kafka producer."""

    key_id: str
    """The `kid` of its signatures, unique on the platform."""
    tenant_id: UUID
    public_key: str
    """Ed25519, base64url without padding."""
    scope: ProducerScope
    registered_at: datetime
    registered_by: str
    revoked_at: datetime | None = None


class Model(ContractModel):
    """A registered model."""

    name: Name
    description: str
    created_at: datetime
    archived_at: datetime | None = None
    """Since when it cannot be deployed any more; None when it can."""


class ModelVersion(ContractModel):
    """A registered version of a model."""

    model: Name
    version: Name
    artifact: str
    """Where its files are, such as `s3://models/chat/2.1`."""
    size_mib: int
    created_at: datetime
