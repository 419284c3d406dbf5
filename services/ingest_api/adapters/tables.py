"""The ORM's picture of the tables in `migrations/`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import TIMESTAMP, BigInteger, Identity, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.kit.persistence.tenancy import TenantMixin

Json = dict[str, Any]


class Base(DeclarativeBase):
    """Python types to columns."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        Json: JSONB,
        datetime: TIMESTAMP(timezone=True),
        list[str]: ARRAY(Text),
        bytes: LargeBinary,
    }


class TenantRow(TenantMixin, Base):
    """A tenant."""

    __tablename__ = "tenant"

    name: Mapped[str]
    plan: Mapped[Json]
    suspended_reason: Mapped[str | None]
    created_at: Mapped[datetime]


class KeyRow(TenantMixin, Base):
    """An API key."""

    __tablename__ = "api_key"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    scopes: Mapped[list[str]]
    secret_hash: Mapped[bytes]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ProducerRow(TenantMixin, Base):
    """A producer's public key."""

    __tablename__ = "producer_key"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    public_key: Mapped[str]
    scope: Mapped[str]
    registered_at: Mapped[datetime]
    registered_by: Mapped[str]
    revoked_at: Mapped[datetime | None]


class ModelRow(TenantMixin, Base):
    """A model."""

    __tablename__ = "model"

    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class VersionRow(TenantMixin, Base):
    """A version of a model."""

    __tablename__ = "model_version"

    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    artifact: Mapped[str]
    size_mib: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class DeploymentRow(TenantMixin, Base):
    """A deployment."""

    __tablename__ = "deployment"

    deployment_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    revision: Mapped[int]
    cancelled_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class RevisionRow(TenantMixin, Base):
    """An admitted revision of a deployment."""

    __tablename__ = "deployment_revision"

    deployment_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    spec: Mapped[Json]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]


class ViewRow(TenantMixin, Base):
    """The read model of a deployment."""

    __tablename__ = "deployment_view"

    deployment_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    model: Mapped[str | None]
    revision: Mapped[int]
    state: Mapped[str]
    view: Mapped[Json]
    as_of_position: Mapped[str | None]
    as_of_time: Mapped[datetime | None]


class HistoryRow(TenantMixin, Base):
    """One thing that happened to a deployment."""

    __tablename__ = "history_entry"

    deployment_id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    words: Mapped[str]
    actor: Mapped[str | None]
    time: Mapped[datetime]
    appended_at: Mapped[datetime]
    topic: Mapped[str]
    partition: Mapped[int]
    offset: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))


class ReservationRow(TenantMixin, Base):
    """GPUs that a deployment holds, or waits for."""

    __tablename__ = "reservation"

    reservation_id: Mapped[UUID] = mapped_column(primary_key=True)
    deployment_id: Mapped[UUID]
    pool: Mapped[str]
    revision: Mapped[int | None]
    stage: Mapped[int | None]
    gpu_milli: Mapped[int] = mapped_column(BigInteger)
    allocations: Mapped[list[Json]] = mapped_column(JSONB)
    explanation: Mapped[str]
    reserved_at: Mapped[datetime | None]
    details: Mapped[Json]
    """What no statement looks into."""


class NodeRow(Base):
    """A node; of no tenant."""

    __tablename__ = "node"

    node: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str]
    cpu_milli: Mapped[int] = mapped_column(BigInteger)
    memory_mib: Mapped[int] = mapped_column(BigInteger)
    gpu_count: Mapped[int]
    gpu_model: Mapped[str]
    observed_at: Mapped[datetime]
    failed_devices: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    is_cordoned: Mapped[bool]
    zone: Mapped[str]
