"""What REST shows of a pool's queue: who waits, at which place and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from schemas.base import ContractModel
from schemas.capacity import CapacityHint, QueueEntry


class Report(ContractModel):
    """The newest report about a pool's queue, with the entries that a caller may see."""

    pool: str
    at: datetime
    """When it was so."""
    as_of_decision: int
    """Number of the pool's last decision then."""
    length: int
    """Requests that wait, of all tenants."""
    gpu_milli: int
    """Thousandths of a GPU that those of them need that were listed, the first `MOST_ENTRIES`."""
    entries: tuple[QueueEntry, ...]
    hints: tuple[CapacityHint, ...]


class Waiter(QueueEntry):
    """A request that waits, by the names of who asked."""

    deployment: str | None
    """The deployment's name."""
    tenant: str | None
    """The tenant's name; None where the caller is the tenant."""


class Queue(ContractModel):
    """Who waits in a pool."""

    pool: str
    at: datetime
    """When it was so."""
    as_of_decision: int
    """Number of the pool's last decision then."""
    length: int
    """Requests that wait, of all tenants."""
    gpu_milli: int
    """Thousandths of a GPU that they need, the first `MOST_ENTRIES` of them."""
    entries: tuple[Waiter, ...]
    """The caller's, in the order in which they are tried; an operator sees the first `MOST_ENTRIES` of all."""


class Hints(ContractModel):
    """What to add to a pool so that the head of its queue starts."""

    pool: str
    at: datetime
    """When the queue was so."""
    as_of_decision: int
    length: int
    """Requests that wait."""
    hints: tuple[CapacityHint, ...]
    """The cheapest first; none when nothing waits, or nothing that could be added would help."""


def queue_of(report: Report, deployments: Mapping[UUID, str], tenants: Mapping[UUID, str]) -> Queue:
    """The report with names."""
    entries = (
        Waiter(
            **entry.model_dump(),
            deployment=deployments.get(entry.deployment_id),
            tenant=tenants.get(entry.tenant_id),
        )
        for entry in report.entries
    )
    return Queue(**report.model_dump(exclude={"entries", "hints"}), entries=tuple(entries))


def hints_of(report: Report) -> Hints:
    """The report's hints."""
    return Hints(**report.model_dump(include={"pool", "at", "as_of_decision", "length"}), hints=report.hints)
