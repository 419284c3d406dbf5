"""What is known of a reservation, event by event."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from schemas.placement import (
    CapacityLost,
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    LossReason,
    PlacementEvent,
    PreemptionReason,
    PreemptionRequested,
    PreemptionWithdrawn,
    QueueReason,
)
from schemas.resources import Allocation
from services.deployer.domain.answers import heard
from services.deployer.domain.observation import Answer, AnswerKind, Preemption
from tests.unit.deployer.scheduler import event

RESERVATION, ONE, OTHER = uuid4(), uuid4(), uuid4()


def places(*replicas: int, node: str = "n1") -> tuple[Allocation, ...]:
    """Two pods for each replica."""
    return tuple(
        Allocation(replica=replica, worker=worker, node=node, devices=(replica,), gpu_milli=1000)
        for replica in replicas
        for worker in (0, 1)
    )


def reserved(*replicas: int, node: str = "n1") -> PlacementEvent:
    return said(CapacityReserved, revision=1, stage=0, allocations=places(*replicas, node=node), explanation="room")


def said(kind: type[PlacementEvent], **fields: Any) -> PlacementEvent:
    amount = {} if kind in (CapacityQueued, CapacityRejected, PreemptionWithdrawn) else {"gpu_milli": 1000}
    return event(kind, RESERVATION, **amount, **fields)


def lost(*replicas: int) -> PlacementEvent:
    return said(CapacityLost, replicas=replicas, reason=LossReason.NODE_REMOVED, detail="n1 is gone")


def preempted(claimant: UUID, *replicas: int) -> PlacementEvent:
    return said(
        PreemptionRequested, replicas=replicas, reason=PreemptionReason.RECLAIM, claimant=claimant, detail="mine"
    )


def withdrawn(claimant: UUID, *replicas: int) -> PlacementEvent:
    return said(PreemptionWithdrawn, replicas=replicas, claimant=claimant, reason="room elsewhere")


QUEUED = said(CapacityQueued, position=1, reason=QueueReason.FRAGMENTED, detail="no node has 2")
REJECTED = said(CapacityRejected, reason=QueueReason.QUOTA_EXCEEDED, detail="5 of 4")
WAITS = "Fragmented: no node has 2"
GONE = "NodeRemoved: n1 is gone"


def drains(claimant: UUID, *replicas: int) -> tuple[Preemption, ...]:
    return tuple(Preemption(replica, claimant, "Reclaim: mine") for replica in replicas)


def back(*replicas: int) -> PlacementEvent:
    return said(CapacityReleased, reason="as asked", replicas=replicas)


@pytest.mark.parametrize(
    ("events", "known"),
    [
        ([QUEUED], Answer(AnswerKind.QUEUED, WAITS)),
        ([QUEUED, reserved(0, 1)], Answer(AnswerKind.RESERVED, "room", places(0, 1))),
        ([QUEUED, REJECTED], Answer(AnswerKind.REJECTED, "QuotaExceeded: 5 of 4")),
        ([reserved(0, 1), lost(1)], Answer(AnswerKind.LOST, GONE, places(0))),
        ([reserved(0, 1), lost(1), QUEUED], Answer(AnswerKind.QUEUED, WAITS, places(0))),
        ([reserved(0, 1), lost(1), REJECTED], Answer(AnswerKind.REJECTED, "QuotaExceeded: 5 of 4", places(0))),
        (
            [reserved(0, 1), lost(1), reserved(0, 1, node="n2")],
            Answer(AnswerKind.RESERVED, "room", places(0, 1, node="n2")),
        ),
        ([reserved(0, 1, 2), back(1)], Answer(AnswerKind.RESERVED, "room", places(0, 2))),
        ([reserved(0, 1), back(0), back(1)], Answer(AnswerKind.RELEASED, "as asked")),
        ([reserved(0, 1), lost(0), back(1)], Answer(AnswerKind.LOST, GONE)),
        ([reserved(0, 1), back()], Answer(AnswerKind.RELEASED, "as asked")),
        (
            [reserved(0, 1, 2), preempted(ONE, 0, 1), preempted(OTHER, 1, 2)],
            Answer(AnswerKind.RESERVED, "room", places(0, 1, 2), (*drains(ONE, 0), *drains(OTHER, 1, 2))),
        ),
        (
            [reserved(0, 1), preempted(ONE, 0), preempted(OTHER, 1), withdrawn(ONE, 0, 1)],
            Answer(AnswerKind.RESERVED, "room", places(0, 1), drains(OTHER, 1)),
        ),
        (
            [reserved(0, 1, 2), preempted(ONE, 0, 1), lost(1), reserved(0, 1, 2)],
            Answer(AnswerKind.RESERVED, "room", places(0, 1, 2), drains(ONE, 0)),
        ),
        ([reserved(0, 1), preempted(ONE, 0), back(0)], Answer(AnswerKind.RESERVED, "room", places(1))),
        ([reserved(0), preempted(ONE, 7)], Answer(AnswerKind.RESERVED, "room", places(0))),
    ],
)
def test_answers_add_up(events: list[PlacementEvent], known: Answer) -> None:
    answer: Answer | None = None
    for one in events:
        answer = heard(answer, one)
    assert answer == known


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        (Answer(AnswerKind.QUEUED), True),
        (Answer(AnswerKind.LOST), True),
        (Answer(AnswerKind.REJECTED), False),
        (Answer(AnswerKind.REJECTED, "", places(0)), True),
        (Answer(AnswerKind.RELEASED), False),
    ],
)
def test_what_must_be_given_back(answer: Answer, holds: bool) -> None:
    assert answer.holds is holds


def test_an_event_that_nobody_listens_to_is_no_answer() -> None:
    class Unheard(PlacementEvent):
        type = "taxiway.placement.unheard.v1"

    with pytest.raises(NotImplementedError, match="unheard"):
        heard(None, event(Unheard, RESERVATION))
