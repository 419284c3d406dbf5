"""What would become of a request that nobody has made: the same code as for one that was, on the same snapshot.

The snapshot is as before afterwards.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from schemas.capacity import AskWhatIf, CapacityQuestion, Eviction, WhatIfAnswered, WouldBe
from schemas.placement import RejectedPlace
from services.scheduler.domain.decide import decide
from services.scheduler.domain.decision import Decision, Placed, Rejected
from services.scheduler.domain.forecast import forecast
from services.scheduler.domain.limits import Refusal, may_start
from services.scheduler.domain.model import Cause, Request, Waiting
from services.scheduler.domain.preemption import Drainage, drainage_for
from services.scheduler.domain.snapshot import Snapshot

NOBODY = UUID(int=0)
"""Identity of a request that nobody has made."""


def what_if(snapshot: Snapshot, asked: AskWhatIf, tenant_id: UUID) -> WhatIfAnswered:
    """Would it fit, where, what would be drained for it, and when?"""
    waiting = imagined(snapshot, asked, tenant_id)
    decision = decide(snapshot, waiting.request)
    if isinstance(decision, Placed):
        return _answer(snapshot, asked, decision)
    if isinstance(decision, Rejected):
        return _answer(snapshot, asked, decision)
    allowed = may_start(snapshot, waiting)
    drainage = drainage_for(snapshot, waiting)
    answer = _answer(snapshot, asked, decision)
    if drainage is not None:
        return answer.model_copy(
            update={
                "outcome": WouldBe.PLACED_AFTER_DRAINING,
                "allocations": drainage.allocations,
                "evictions": _evictions(drainage),
            }
        )
    with forecast(snapshot) as ahead:
        start = None if isinstance(allowed, Refusal) else ahead.start(waiting, allowed)
    return answer if start is None else answer.model_copy(update={"estimated_start": start[0]})


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
    replicas: dict[UUID, list[int]] = {}
    requests: dict[UUID, Request] = {}
    for victim in drainage.victims:
        request = victim.reservation.request
        requests[request.reservation_id] = request
        replicas.setdefault(request.reservation_id, []).append(victim.replica)
    return tuple(
        Eviction(
            reservation_id=request.reservation_id,
            deployment_id=request.deployment_id,
            replicas=tuple(sorted(replicas[request.reservation_id])),
            gpu_milli=len(replicas[request.reservation_id]) * request.resources.total_gpu_milli,
            priority=request.priority,
        )
        for request in requests.values()
    )
