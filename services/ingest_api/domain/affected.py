"""Replicas of reservations that something happened to: asked to drain, or without their place. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from schemas.base import ContractModel


class Affected(ContractModel):
    """Replicas of one reservation, and why."""

    reservation_id: UUID
    replicas: tuple[int, ...]
    """Their numbers."""
    reason: str
    """Enumerated."""
    detail: str
    """The same in words."""


def joined(known: Sequence[Affected], fresh: Affected) -> tuple[Affected, ...]:
    """`known` and `fresh`; what was said of the same replicas before is past."""
    return (*without(known, fresh.reservation_id, fresh.replicas), fresh)


def without(
    known: Sequence[Affected], reservation_id: UUID, replicas: Collection[int] | None = None
) -> tuple[Affected, ...]:
    """`known` but for these replicas of the reservation, or for all of them."""
    left = []
    for each in known:
        if each.reservation_id == reservation_id:
            kept = () if replicas is None else tuple(number for number in each.replicas if number not in replicas)
            each = each.model_copy(update={"replicas": kept})
        if each.replicas:
            left.append(each)
    return tuple(left)
