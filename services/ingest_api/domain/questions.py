"""Questions about capacity and what REST shows of their answers. Pure.

The reservations of other tenants are amounts to a tenant: neither their ids nor their deployments' are shown to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from schemas.base import ContractModel
from schemas.capacity import (
    AskDefragmentation,
    AskWhatIf,
    CapacityDemand,
    CapacityQuestion,
    DefragmentationPlanned,
    Eviction,
    Move,
    WhatIfAnswered,
    WouldBe,
)
from schemas.placement import QueueReason, RejectedPlace
from schemas.resources import Allocation


class QuestionKind(StrEnum):
    """What is asked."""

    WHAT_IF = "what-if"
    """What would become of a demand?"""
    DEFRAGMENTATION = "defragmentation"
    """What would have to move to make room for it?"""


EVENTS: Mapping[QuestionKind, type[CapacityQuestion]] = {
    QuestionKind.WHAT_IF: AskWhatIf,
    QuestionKind.DEFRAGMENTATION: AskDefragmentation,
}
"""How each is said."""


class Question(ContractModel):
    """A question, and its answer once there is one."""

    question_id: UUID
    kind: QuestionKind
    tenant_id: UUID
    """Who is to be answered; the nil UUID is the platform."""
    pool: str
    demand: CapacityDemand
    asked_by: str
    asked_at: datetime
    answer: WhatIfAnswered | DefragmentationPlanned | None = None
    answered_at: datetime | None = None


class ShownEviction(ContractModel):
    """Replicas that would be drained."""

    reservation_id: UUID | None
    """Their reservation; None when it is another tenant's."""
    deployment_id: UUID | None
    deployment: str | None
    """Name of their deployment."""
    replicas: int
    """How many."""
    gpu_milli: int
    """Thousandths of a GPU that they hold."""
    priority: int | None
    """Their priority; None when they are another tenant's."""


class ShownMove(ContractModel):
    """A replica's pod that would have to move."""

    reservation_id: UUID
    deployment_id: UUID
    deployment: str | None
    """Name of its deployment."""
    source: Allocation
    """Where it is."""
    target: Allocation
    """Where it would go."""


class ShownQuestion(ContractModel):
    """What every question shows, whatever was asked."""

    question_id: UUID
    tenant_id: UUID | None
    """Who asked, or was asked for; None for the platform."""
    pool: str
    demand: CapacityDemand
    asked_at: datetime


class WhatIf(ShownQuestion):
    """What would become of a demand."""

    answered_at: datetime | None
    """None while there is no answer; all that follows is empty then."""
    outcome: WouldBe | None = None
    reason: QueueReason | None = None
    """Why it would wait or be refused."""
    detail: str | None = None
    """The same in words, with numbers."""
    allocations: tuple[Allocation, ...] = ()
    """Where it would go."""
    alternatives: tuple[RejectedPlace, ...] = ()
    """The best of the other nodes, and why not there."""
    evictions: tuple[ShownEviction, ...] = ()
    """What would be drained for it."""
    position: int | None = None
    """Its place in the queue, from 1."""
    estimated_start: datetime | None = None
    """When it would start, as far as ends are known."""
    as_of_decision: int | None = None
    """Number of the pool's last decision before the answer."""


class Defragmentation(ShownQuestion):
    """What would have to move to make room for a demand. Nothing is moved by asking."""

    answered_at: datetime | None
    """None while there is no answer; all that follows is empty then."""
    is_possible: bool | None = None
    detail: str | None = None
    """In words: what is moved, or why nothing helps."""
    moves: tuple[ShownMove, ...] = ()
    """In the order in which they must be made."""
    moved_gpu_milli: int | None = None
    """Cost: thousandths of a GPU that are held twice while their traffic shifts, over all moves."""
    allocations: tuple[Allocation, ...] = ()
    """Where the demand would go then."""
    as_of_decision: int | None = None
    """Number of the pool's last decision before the answer."""


def deployments_in(question: Question) -> set[UUID]:
    """The deployments that the answer names."""
    answer = question.answer
    if answer is None:
        return set()
    about: tuple[Eviction, ...] | tuple[Move, ...]
    about = answer.evictions if isinstance(answer, WhatIfAnswered) else answer.moves
    return {each.deployment_id for each in about}


def what_if(question: Question, names: Mapping[UUID, str], *, sees_all: bool) -> WhatIf:
    """The question to a caller who knows the deployments in `names`; others' are amounts unless it `sees_all`."""
    shown, answer = _shown(question), question.answer
    if not isinstance(answer, WhatIfAnswered):
        return WhatIf(**shown)
    told = answer.model_dump(exclude={"pool", "question_id", "evictions"})
    evictions = tuple(_eviction(each, names, sees_all=sees_all) for each in answer.evictions)
    return WhatIf(**shown, **told, evictions=evictions)


def defragmentation(question: Question, names: Mapping[UUID, str]) -> Defragmentation:
    """The question to an operator."""
    shown, answer = _shown(question), question.answer
    if not isinstance(answer, DefragmentationPlanned):
        return Defragmentation(**shown)
    told = answer.model_dump(exclude={"pool", "question_id", "moves"})
    moves = tuple(ShownMove(**each.model_dump(), deployment=names.get(each.deployment_id)) for each in answer.moves)
    return Defragmentation(**shown, **told, moves=moves)


def _shown(question: Question) -> dict[str, Any]:
    fields = question.model_dump(include={"question_id", "pool", "demand", "asked_at", "answered_at"})
    return fields | {"tenant_id": question.tenant_id if question.tenant_id.int else None}


def _eviction(each: Eviction, names: Mapping[UUID, str], *, sees_all: bool) -> ShownEviction:
    is_seen = sees_all or each.deployment_id in names
    return ShownEviction(
        reservation_id=each.reservation_id if is_seen else None,
        deployment_id=each.deployment_id if is_seen else None,
        deployment=names.get(each.deployment_id),
        replicas=len(each.replicas),
        gpu_milli=each.gpu_milli,
        priority=each.priority if is_seen else None,
    )
