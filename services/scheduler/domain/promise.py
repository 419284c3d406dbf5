"""Promise and backfill: the request whose turn it is gets a start time and places, and what comes after it may use only
what does not delay it.

Only as far as ends are known: a request that waits for what nobody knows the end of is promised nothing, and then keeps
nothing idle. What is expected to be over before the promised time may use the promised places until then.
"""

from __future__ import annotations

from services.scheduler.domain.forecast import forecast
from services.scheduler.domain.limits import Refusal, refusal, within_quotas
from services.scheduler.domain.model import Claim, Request, Waiting
from services.scheduler.domain.snapshot import Snapshot
from services.scheduler.domain.turns import Turns


def renew_promise(snapshot: Snapshot) -> None:
    """Promise a start to the head of the queue, and to nobody else; a promise that stands is not touched."""
    promised = [claim for claim in snapshot.claims.values() if claim.promised_at is not None]
    head = _head(snapshot) if snapshot.timed and len(snapshot.queue) else None
    for claim in promised:
        is_kept = head is not None and head.reservation_id == claim.reservation_id
        if not is_kept or claim.promised_at is None or claim.promised_at <= snapshot.now:
            snapshot.drop_claim(claim.reservation_id)
    if head is not None and head.reservation_id not in snapshot.claims:
        claim_of_head = _promise(snapshot, head)
        if claim_of_head is not None:
            snapshot.claim(claim_of_head)


def may_run_before(snapshot: Snapshot, request: Request) -> list[Claim]:
    """Promises of others that the request would not delay, because it is over before they start."""
    if request.expected is None:
        return []
    ends_at = snapshot.now + request.expected
    return [
        claim
        for claim in snapshot.claims.values()
        if claim.promised_at is not None
        and ends_at <= claim.promised_at
        and claim.reservation_id != request.reservation_id
    ]


def _head(snapshot: Snapshot) -> Waiting | None:
    """The request whose turn it is, of those that their tenants' limits let start."""
    turns = Turns(snapshot)
    for waiting in turns:
        request = waiting.request
        if refusal(snapshot, request, waiting.gpu_milli) is None and not isinstance(
            within_quotas(snapshot, request, waiting.gpu_milli), Refusal
        ):
            return waiting
        turns.pass_over(waiting)
    return None


def _promise(snapshot: Snapshot, waiting: Waiting) -> Claim | None:
    allowed = within_quotas(snapshot, waiting.request, waiting.gpu_milli)
    if isinstance(allowed, Refusal):
        return None
    with forecast(snapshot) as ahead:
        start = ahead.start(waiting, allowed)
    if start is None:
        return None
    at, placement = start
    return Claim(waiting.reservation_id, waiting.request.resources, placement.allocations, (), at)
