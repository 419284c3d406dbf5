"""Leases: work that needs one owner is done by the holder of a row, and each of its writes checks the row's epoch.

The epoch grows at every take-over, so a write by an owner that was paused, partitioned or slow fails in its own
transaction instead of overwriting what the new owner did. Expiry is judged by the database's clock alone: the
processes' clocks need not agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from services.kit.errors import LeaseLostError

if TYPE_CHECKING:
    from services.kit.persistence.database import Database

TTL_SECONDS = 6.0
"""A dead holder's lease can be taken after this."""

ACQUIRE = text(
    """
    INSERT INTO lease AS l (name, holder, epoch, expires_at)
    VALUES (:name, :holder, 1, clock_timestamp() + make_interval(secs => :ttl))
    ON CONFLICT (name) DO UPDATE
       SET holder = excluded.holder, epoch = l.epoch + 1, expires_at = excluded.expires_at
     WHERE l.expires_at < clock_timestamp()
    RETURNING epoch
    """
)
RENEW = text(
    """
    UPDATE lease SET expires_at = clock_timestamp() + make_interval(secs => :ttl)
    WHERE name = :name AND epoch = :epoch AND holder = :holder RETURNING epoch
    """
)
RELEASE = text("UPDATE lease SET expires_at = '-infinity' WHERE name = :name AND epoch = :epoch AND holder = :holder")
FENCE = text("SELECT 1 FROM lease WHERE name = :name AND epoch = :epoch FOR SHARE")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one kind of work, under one epoch."""

    name: str
    holder: str
    epoch: int


async def acquire(database: Database, name: str, holder: str, ttl: float = TTL_SECONDS) -> Lease | None:
    """The lease under a new epoch, or None while somebody else holds it."""
    async with database.unit_of_work() as work:
        row = (await work.connection.execute(ACQUIRE, {"name": name, "holder": holder, "ttl": ttl})).first()
    return Lease(name, holder, row.epoch) if row else None


async def renew(database: Database, lease: Lease, ttl: float = TTL_SECONDS) -> None:
    """Hold the lease for another `ttl` seconds; raises `LeaseLostError` when it was taken over."""
    async with database.unit_of_work() as work:
        found = await work.connection.execute(
            RENEW, {"name": lease.name, "holder": lease.holder, "epoch": lease.epoch, "ttl": ttl}
        )
        if found.first() is None:
            raise LeaseLostError(f"lease {lease.name} was taken over from epoch {lease.epoch}")


async def release(database: Database, lease: Lease) -> None:
    """Give the lease back, so that the next holder need not wait for it to expire."""
    async with database.unit_of_work() as work:
        await work.connection.execute(RELEASE, {"name": lease.name, "holder": lease.holder, "epoch": lease.epoch})
