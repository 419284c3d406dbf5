"""What would become of a request that nobody has made: the same code as for one that was, on the same snapshot.

The snapshot is as before afterwards.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from schemas.capacity import AskWhatIf, CapacityQuestion, Eviction, WhatIfAnswered, WouldBe
from schemas.placement import RejectedPlace
from schemas.resources import Allocation
from services.scheduler.domain.decision import Decided, Decision, Drain, Placed, Queued, Rejected
from services.scheduler.domain.draining.preemption import Drainage, drainage_for
from services.scheduler.domain.model import Cause, Request, Waiting
from services.scheduler.domain.pool.limits import Refusal, may_start
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.settle import decide, enqueue, is_next_of_its_line
from services.scheduler.domain.waiting.forecast import forecast
from services.scheduler.domain.waiting.promise import promised

NOBODY = UUID(int=0)
"""Identity of a request that nobody has made."""


def what_if(snapshot: Snapshot, asked: AskWhatIf, tenant_id: UUID) -> WhatIfAnswered:
    """Would it fit, where, what would be drained for it, and when?"""
    waiting = imagined(snapshot, asked, tenant_id)
    decision = decide(snapshot, waiting.request)
    if isinstance(decision, Queued) and promised(snapshot) is not None:
        return _on_a_copy(snapshot, asked, waiting, decision)
    answer = _answer(snapshot, asked, decision)
    if isinstance(decision, Queued):
        drainage = drainage_for(snapshot, waiting) if is_next_of_its_line(snapshot, waiting) else None
        if drainage is None:
            return _with_start(answer, snapshot, waiting)
        return _after_draining(answer, drainage.allocations, _evictions(drainage))
    return answer


def _on_a_copy(snapshot: Snapshot, asked: AskWhatIf, waiting: Waiting, decision: Queued) -> WhatIfAnswered:
    """A promise to another may give way to it: then more can follow than is looked at elsewhere here."""
    copy = snapshot.copy()
    outcomes = enqueue(copy, waiting, decision)
    told = [each.decision for each in outcomes if isinstance(each, Decided) and each.request is waiting.request]
    answer = _answer(snapshot, asked, told[-1])
    drains = [each for each in outcomes if isinstance(each, Drain) and each.claimant == waiting.reservation_id]
    if drains:
        evictions = tuple(_eviction(each.request, each.replicas) for each in drains)
        return _after_draining(answer, copy.claims[waiting.reservation_id].allocations, evictions)
    return _with_start(answer, snapshot, waiting) if isinstance(told[-1], Queued) else answer


def _with_start(answer: WhatIfAnswered, snapshot: Snapshot, waiting: Waiting) -> WhatIfAnswered:
    """With the time at which it would start, as far as that can be foreseen."""
    allowed = may_start(snapshot, waiting)
    if answer.estimated_start is not None or isinstance(allowed, Refusal):
        return answer
    with forecast(snapshot) as ahead:
        start = ahead.start(waiting, allowed)
    return answer if start is None else answer.model_copy(update={"estimated_start": start[0]})


def _after_draining(
    answer: WhatIfAnswered, allocations: tuple[Allocation, ...], evictions: tuple[Eviction, ...]
) -> WhatIfAnswered:
    update = {"outcome": WouldBe.PLACED_AFTER_DRAINING, "allocations": allocations, "evictions": evictions}
    return answer.model_copy(update=update)


def imagined(snapshot: Snapshot, asked: CapacityQuestion, tenant_id: UUID) -> Waiting:
    """The demand as a request that would come now."""
    demand = asked.demand
    request = Request(
        reservation_id=NOBODY,
        deployment_id=NOBODY,
        tenant_id=tenant_id,
        revision=1,
        stage=0,
        replicas=demand.replicas,
        resources=demand.resources,
        pool=asked.pool,
        priority=demand.priority,
        arrival=snapshot.applied,
        asked_at=snapshot.now,
        cause=Cause("", ""),
        preemptible=demand.preemptible,
        expected=None if demand.expected_seconds is None else timedelta(seconds=demand.expected_seconds),
    )
    return Waiting(request, tuple(range(demand.replicas)))


def _answer(snapshot: Snapshot, asked: AskWhatIf, decision: Decision) -> WhatIfAnswered:
    common = {"question_id": asked.question_id, "pool": asked.pool, "as_of_decision": snapshot.decided}
    if isinstance(decision, Placed):
        return WhatIfAnswered(
            **common,
            outcome=WouldBe.PLACED,
            detail=decision.explanation,
            allocations=decision.allocations,
            alternatives=tuple(RejectedPlace(node=o.node, score=o.score, why=o.why) for o in decision.alternatives),
        )
    if isinstance(decision, Rejected):
        return WhatIfAnswered(**common, outcome=WouldBe.REJECTED, reason=decision.reason, detail=decision.detail)
    return WhatIfAnswered(
        **common,
        outcome=WouldBe.QUEUED,
        reason=decision.reason,
        detail=decision.detail,
        position=decision.position,
        estimated_start=decision.estimated_start,
    )


def _evictions(drainage: Drainage) -> tuple[Eviction, ...]:
    return tuple(
        _eviction(victims[0].reservation.request, tuple(each.replica for each in victims))
        for victims in drainage.by_reservation.values()
    )


def _eviction(request: Request, replicas: tuple[int, ...]) -> Eviction:
    return Eviction(
        reservation_id=request.reservation_id,
        deployment_id=request.deployment_id,
        replicas=replicas,
        gpu_milli=len(replicas) * request.resources.total_gpu_milli,
        priority=request.priority,
    )
