"""What the scheduler needs from outside: the log of inputs, for any copy, and the state of a pool, for its owner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from schemas.base import EventData
from schemas.errors import ContractError
from schemas.placement import DecisionRecord
from services.kit.persistence.unit_of_work import UnitOfWork
from services.scheduler.domain.decision import Change, Numbered
from services.scheduler.domain.model import Cause, Input
from services.scheduler.domain.policies import Policy
from services.scheduler.domain.pool.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Pending:
    """An input that was recorded and not applied yet."""

    id: int
    """Its place in the log of inputs; grows, with gaps."""
    entry: Input


@dataclass(frozen=True, slots=True)
class SetAside:
    """An input that cannot be read or applied. It stays in the log, where a person can see it and undo this."""

    id: int
    """Its place in the log of inputs, as `Pending.id`."""
    tenant_id: UUID
    """Tenant that the input is about."""
    cause: Cause
    """The message that was recorded."""
    error_type: str
    """Code of the breach of contract, or the class of an unexpected error."""
    reason: str
    """Why, in words."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision or release with the number that the pool gave it."""

    outcome: Numbered
    record: DecisionRecord


@dataclass(frozen=True, slots=True)
class Applied:
    """An input that was applied, and all that followed from it."""

    id: int | None
    """The `Pending.id`; None of the passing of time, which nobody recorded."""
    tenant_id: UUID
    """Tenant that the input is about."""
    number: int
    """Number among the inputs that the pool applied, gap-free from 1: the order in which a replay applies them."""
    at: datetime
    """The time that it was applied at, UTC."""
    changes: tuple[Change, ...]
    recorded: tuple[Recorded, ...]


class InputLog(Protocol):
    """The messages about each pool, in order. Any copy appends."""

    async def append(self, work: UnitOfWork, pool: str, entry: Input) -> None:
        """Record the input at the end of the pool's log, and wake the pool's owner when the transaction commits."""

    async def pool_of(self, work: UnitOfWork, tenant_id: UUID, reservation_id: UUID) -> str | None:
        """The pool in whose log the reservation was asked for; None when it was not."""


class PoolStore(Protocol):
    """The state of pools. Only the owner of a pool uses it, and stores in transactions that it fenced."""

    async def load(self, work: UnitOfWork, pool: str, policy: Policy) -> Callable[[], Snapshot]:
        """All that the pool's owner must know, from the store alone, with the policy as it was left.

        What is returned makes the snapshot, after the transaction: with many reservations that takes seconds.
        """

    async def pending(
        self, work: UnitOfWork, pool: str, limit: int, besides: Sequence[int] = ()
    ) -> list[Pending | SetAside]:
        """The oldest inputs that were neither applied nor set aside, in order; with a reason what cannot be read. Not
        those with the ids `besides`: they are about to be."""

    async def closed(self, work: UnitOfWork, pool: str, entries: Sequence[Input]) -> set[UUID]:
        """Those reservations of the inputs that were released or refused before, or that belong to another pool."""

    async def save(self, work: UnitOfWork, snapshot: Snapshot, applied: Sequence[Applied]) -> None:
        """Store what followed from a batch of inputs: what the snapshot says of all it has touched, the decisions, and
        how far the pool has come. The caller lets the snapshot forget what it touched once that is committed."""

    async def set_aside(self, work: UnitOfWork, inputs: Sequence[SetAside]) -> None:
        """Store that these are not to be applied, and why."""


def unreadable(id_: int, tenant_id: UUID, cause: Cause, error: ContractError) -> SetAside:
    """An input of a type or form that this release does not know: a newer one recorded it, and was rolled back."""
    return SetAside(id_, tenant_id, cause, error.code, f"{error.code}: {error.message}")


def reservation_of(data: EventData) -> UUID | None:
    """The reservation that a message is about; None when it is about a node or a tenant."""
    found = getattr(data, "reservation_id", None)
    return found if isinstance(found, UUID) else None
