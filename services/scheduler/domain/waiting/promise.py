"""Promise and backfill: the first request that does not fit, and that nobody drains for, gets a start time and places,
and what comes after it may use only what does not delay it.

Only as far as ends are known: a request that waits for what nobody knows the end of is promised nothing, and then keeps
nothing idle. What is expected to be over before the promised time may use the promised places until then.

At most one promise stands. It is kept while shares go up and down, or a large request would never start beside a
tenant with many small ones; only a request that goes before it within the tenant, or that another tenant's guarantee
covers, takes its place. When its time has come and others are late for long, it is made anew.
"""

from __future__ import annotations

from services.scheduler.domain.model import Claim, Request, Waiting
from services.scheduler.domain.pool.limits import Refusal, may_start
from services.scheduler.domain.pool.snapshot import PATIENCE, Snapshot
from services.scheduler.domain.waiting.forecast import forecast
from services.scheduler.domain.waiting.turns import Turns, turn_of


def renew_promise(snapshot: Snapshot) -> None:
    """Drop the promise when its holder may not start at present; make it anew when it was not kept."""
    claim = promised(snapshot)
    if claim is None or claim.promised_at is None:
        return
    waiting = snapshot.queue.find(claim.reservation_id)
    is_allowed = waiting is not None and not isinstance(may_start(snapshot, waiting), Refusal)
    if is_allowed and claim.promised_at + PATIENCE > snapshot.now:
        return
    snapshot.drop_claim(claim.reservation_id)
    if waiting is not None:
        make_promise(snapshot, waiting)


def make_promise(snapshot: Snapshot, waiting: Waiting) -> None:
    """Promise it a start if one can be foreseen, and nobody else was promised one."""
    if not snapshot.timed or waiting.reservation_id in snapshot.claims or promised(snapshot) is not None:
        return
    allowed = may_start(snapshot, waiting)
    if isinstance(allowed, Refusal):
        return
    with forecast(snapshot) as ahead:
        start = ahead.start(waiting, allowed)
    if start is not None:
        places = start.placement.allocations
        snapshot.claim(Claim(waiting.reservation_id, waiting.request.resources, places, (), start.at))


def give_way(snapshot: Snapshot, head: Waiting) -> bool:
    """End the promise to a request that this one goes before; whether there was one."""
    claim = promised(snapshot)
    if claim is None or claim.reservation_id == head.reservation_id or is_drained_for(snapshot, head):
        return False
    if not _goes_before_holder(snapshot, head, claim):
        return False
    snapshot.drop_claim(claim.reservation_id)
    return True


def would_give_way(snapshot: Snapshot, waiting: Waiting) -> bool:
    """Whether a promise to another would give way to a new request, were it let wait."""
    claim = promised(snapshot)
    if claim is None or not _goes_before_holder(snapshot, waiting, claim):
        return False
    snapshot.queue.add(waiting)
    is_head = head_of(snapshot) is waiting
    snapshot.queue.remove(waiting.reservation_id)
    return is_head


def _goes_before_holder(snapshot: Snapshot, head: Waiting, claim: Claim) -> bool:
    holder = snapshot.queue.find(claim.reservation_id)
    return holder is None or _goes_before(snapshot, head, holder)


def _goes_before(snapshot: Snapshot, head: Waiting, holder: Waiting) -> bool:
    if head.request.tenant_id == holder.request.tenant_id:
        return head.rank < holder.rank
    turn = turn_of(snapshot, head)
    return turn[0] == 0 and turn < turn_of(snapshot, holder)


def promised(snapshot: Snapshot) -> Claim | None:
    """The promise that stands; None when there is none."""
    return next((claim for claim in snapshot.claims.values() if claim.promised_at is not None), None)


def may_run_before(snapshot: Snapshot, request: Request) -> list[Claim]:
    """Promises to others that the request would not delay, because it is over before they start. While somebody is late
    on their nodes nothing is: they could start at any moment."""
    if request.expected is None:
        return []
    ends_at = snapshot.now + request.expected
    return [
        claim
        for claim in snapshot.claims.values()
        if claim.promised_at is not None
        and ends_at <= claim.promised_at
        and claim.reservation_id != request.reservation_id
        and not _waits_for_late_ones(snapshot, claim)
    ]


def _waits_for_late_ones(snapshot: Snapshot, claim: Claim) -> bool:
    nodes = {allocation.node for allocation in claim.allocations}
    late = (snapshot.reservations[each] for each, ends_at in snapshot.timed.items() if ends_at <= snapshot.now)
    return any(allocation.node in nodes for held in late for allocation in held.allocations)


def is_drained_for(snapshot: Snapshot, waiting: Waiting) -> bool:
    """Whether others drain for it: then it has its places, and needs no promise."""
    claim = snapshot.claims.get(waiting.reservation_id)
    return claim is not None and claim.promised_at is None


def head_of(snapshot: Snapshot) -> Waiting | None:
    """The request whose turn it is, of those that their tenants' limits let start and that nobody drains for."""
    turns = Turns(snapshot)
    for waiting in turns:
        if not is_drained_for(snapshot, waiting) and not isinstance(may_start(snapshot, waiting), Refusal):
            return waiting
        turns.pass_over()
    return None
