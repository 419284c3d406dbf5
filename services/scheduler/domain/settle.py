"""Brings the queue in order after something changed: places what fits, drains for what does not, promises the head."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from itertools import takewhile

from services.scheduler.domain.deciding.decide import decide_at_once, queued, try_to_place_on
from services.scheduler.domain.deciding.reasons import is_kept_for_others
from services.scheduler.domain.decision import Decided, Decision, Drain, Numbered, Placed, Queued, Rejected
from services.scheduler.domain.draining.preemption import drainage_for
from services.scheduler.domain.model import Claim, Request, Victim, Waiting
from services.scheduler.domain.nodes.cluster import Flags
from services.scheduler.domain.pool.claims import lifted, withdraw
from services.scheduler.domain.pool.limits import Refusal, may_start, too_many_wait
from services.scheduler.domain.pool.queue import alike
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.waiting.promise import (
    give_way,
    head_of,
    is_drained_for,
    make_promise,
    promised,
    renew_promise,
    would_give_way,
)
from services.scheduler.domain.waiting.turns import Turns, turn_of

SEARCHED = 2
"""Requests that others may be asked to drain for in one pass: each search costs as much as there is to drain."""


def settle(snapshot: Snapshot) -> list[Numbered]:
    """One pass over the queue, each request in its turn; one that does not fit does not hold up those behind it.

    The first that does not fit is promised a start, and for the first few others may be asked to drain. What is kept
    for them then, the ones behind leave alone. When a tenant was let in with so much that another request of it which
    others drain for may not have its places any more, there is one more pass, without that claim; and so there is when
    one started elsewhere than where places were kept for it.
    """
    renew_promise(snapshot)
    outcomes: list[Numbered] = []
    while True:
        this_pass = _Pass(snapshot)
        this_pass.lets_claimants_in()
        turns = Turns(snapshot)
        for waiting in turns:
            if not this_pass.lets_in(waiting):
                turns.pass_over()
        outcomes += this_pass.outcomes
        if not this_pass.frees_late and not keeps_in_vain(snapshot):
            return outcomes


def keeps_in_vain(snapshot: Snapshot) -> bool:
    """Whether others drain for a request that its tenant may not have at present."""
    return any(isinstance(may_start(snapshot, each), Refusal) for each in _drained_for(snapshot))


def _drained_for(snapshot: Snapshot) -> list[Waiting]:
    """The requests that others drain for, or have drained for."""
    claims = (claim for claim in snapshot.claims.values() if claim.promised_at is None)
    return [each for claim in claims if (each := snapshot.queue.find(claim.reservation_id)) is not None]


class _Pass:
    """What has become of the requests that had their turn."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.outcomes: list[Numbered] = []
        self._snapshot = snapshot
        self._hopeless = Hopeless(snapshot)
        self._blocked = 0
        self._has_head = False
        """Whether the request that is promised a start, if one can be foreseen, has had its turn."""
        self.frees_late = False
        """Whether what was kept for one became free after others had had their turn in vain."""

    def lets_claimants_in(self) -> None:
        """Place those for whom the last one has drained, wherever they stand in a line. Who may not start at present,
        or does not fit although all have drained, keeps nothing any longer."""
        snapshot = self._snapshot
        for each in sorted(_drained_for(snapshot), key=lambda each: turn_of(snapshot, each)):
            allowed = may_start(snapshot, each)
            if isinstance(allowed, Refusal):
                reason = "the tenant of the request that needed the room may not have more at present"
                self.outcomes += withdraw(snapshot, each.reservation_id, reason)
            elif not snapshot.claims[each.reservation_id].victims:
                placed = _try(snapshot, each, allowed)
                if placed is not None:
                    self.outcomes += start(snapshot, each, placed)
                else:
                    snapshot.drop_claim(each.reservation_id)

    def lets_in(self, waiting: Waiting) -> bool:
        """Place it if it fits; else do for it what can be done, and say that nothing could be placed."""
        snapshot = self._snapshot
        had_claim = waiting.reservation_id in snapshot.claims
        allowed = may_start(snapshot, waiting)
        if isinstance(allowed, Refusal):
            return False
        placed = None if self._hopeless.has(waiting, allowed) else _try(snapshot, waiting, allowed)
        if placed is None and not self._has_head and give_way(snapshot, waiting):
            placed = _try(snapshot, waiting, allowed)
        if placed is None:
            self._block(waiting, allowed)
            return False
        self.outcomes += start(snapshot, waiting, placed)
        self.frees_late |= had_claim and self._blocked > 0
        return True

    def _block(self, waiting: Waiting, allowed: Flags | None) -> None:
        self._blocked += 1
        self._hopeless.add(waiting, allowed)
        if self._blocked <= SEARCHED:
            self.outcomes += drain_for(self._snapshot, waiting)
        if not self._has_head and not is_drained_for(self._snapshot, waiting):
            self._has_head = True
            make_promise(self._snapshot, waiting)


def decide(snapshot: Snapshot, request: Request) -> Decision:
    """Placed, queued or rejected, with the reason: what would have to wait is refused when as many of its tenant wait
    as may. What would have to drain for it is another question. The snapshot is as before afterwards."""
    decided = decide_at_once(snapshot, request)
    if decided is not None:
        return decided
    waiting = Waiting(request, tuple(range(request.replicas)))
    refused = too_many_wait(snapshot, request.tenant_id)
    if refused is not None and not _starts_by_a_promise(snapshot, waiting):
        return Rejected(refused.reason, refused.detail)
    return queued(snapshot, waiting)


def _starts_by_a_promise(snapshot: Snapshot, waiting: Waiting) -> bool:
    """Whether a promise to another gives way to it and that lets it start at once. Who goes before it may take the
    places first, so it is tried on a copy: that costs much, and is done only when the places would do."""
    allowed = may_start(snapshot, waiting)
    if isinstance(allowed, Refusal) or not would_give_way(snapshot, waiting):
        return False
    if not is_kept_for_others(snapshot, waiting, allowed):
        return False
    copy = snapshot.copy()
    enqueue(copy, waiting, queued(copy, waiting))
    return waiting.reservation_id in copy.reservations


def place_at_once(snapshot: Snapshot, waiting: Waiting, placed: Placed) -> list[Numbered]:
    """Let a new request start. Its tenant has more then: what is kept for another request of it may be kept in vain, or
    be for one that goes before that now."""
    outcomes = start(snapshot, waiting, placed)
    head = head_of(snapshot) if promised(snapshot) else None
    must_settle = keeps_in_vain(snapshot) or (head is not None and give_way(snapshot, head))
    return [*outcomes, *settle(snapshot)] if must_settle else outcomes


def enqueue(snapshot: Snapshot, waiting: Waiting, decision: Queued) -> list[Numbered]:
    """Let it wait, for what was decided; a promise to a request that it goes before is its own, and if that lets it
    start at once it does."""
    snapshot.wait(waiting)
    is_head = bool(snapshot.timed or promised(snapshot)) and head_of(snapshot) is waiting
    if is_head and give_way(snapshot, waiting):  # before others are asked to drain: it may do without
        outcomes = settle(snapshot)
        is_told = any(isinstance(each, Decided) and each.request is waiting.request for each in outcomes)
        return outcomes if is_told else [Decided(waiting.request, queued(snapshot, waiting)), *outcomes]
    drains = drain_for(snapshot, waiting) if is_next_of_its_line(snapshot, waiting) else []
    if drains:
        return drains
    if is_head:
        make_promise(snapshot, waiting)
    claim = snapshot.claims.get(waiting.reservation_id)
    return [Decided(waiting.request, replace(decision, estimated_start=claim.promised_at) if claim else decision)]


def is_next_of_its_line(snapshot: Snapshot, waiting: Waiting) -> bool:
    """Whether nobody waits before it who is alike and whom no draining would help."""
    line = snapshot.queue.lines(waiting.request.tenant_id).get(alike(waiting), [])
    before = takewhile(lambda each: each.rank < waiting.rank, line)
    return all(each.reservation_id in snapshot.claims for each in before)


def start(snapshot: Snapshot, waiting: Waiting, placed: Placed) -> list[Numbered]:
    """Give it its places, if it waits it waits no more, and nobody need drain for it any longer."""
    if waiting.reservation_id in snapshot.queue:
        snapshot.stop_waiting(waiting.reservation_id)
    withdrawn = withdraw(snapshot, waiting.reservation_id, "the request that needed the room has found another place")
    snapshot.reserve(waiting.request, placed.allocations)
    return [Decided(waiting.request, placed), *withdrawn]


def drain_for(snapshot: Snapshot, waiting: Waiting) -> list[Numbered]:
    """Ask others to drain for it, if that helps and nobody was asked yet; the first outcome says that it waits so."""
    own = snapshot.claims.get(waiting.reservation_id)
    if own is not None and own.victims:
        return []
    with lifted(snapshot, [own] if own else []):
        drainage = drainage_for(snapshot, waiting)
    if drainage is None:
        return []
    parts = dict(sorted(drainage.by_reservation.items()))
    victims = tuple(Victim(one, tuple(each.replica for each in those)) for one, those in parts.items())
    snapshot.claim(Claim(waiting.reservation_id, waiting.request.resources, drainage.allocations, victims))
    request = waiting.request
    detail = f"a request of priority {request.priority} needs room for {waiting.gpu_milli} milli-GPU"
    drains = [
        Drain(
            request=those[0].reservation.request,
            replicas=victim.replicas,
            gpu_milli=sum(each.gpu_milli for each in those),
            reason=min(those, key=drainage.victims.index).reason,
            claimant=request.reservation_id,
            detail=detail,
        )
        for victim, those in zip(victims, parts.values(), strict=True)
    ]
    return [Decided(request, queued(snapshot, waiting)), *drains]


def _try(snapshot: Snapshot, waiting: Waiting, allowed: Flags | None) -> Placed | None:
    """The placement; None also when trying fails: that must not cost what led to it, such as a release."""
    try:
        return try_to_place_on(snapshot, waiting, allowed)
    except Exception as error:
        snapshot.failed_retries.append((waiting.request, error))
        return None


class Hopeless:
    """Demands that did not fit in this pass on the nodes that were allowed. Capacity only shrinks during it, so they
    need not be tried again for as many replicas, by whomever."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._fewest: dict[Hashable, int] = {}

    def has(self, waiting: Waiting, allowed: Flags | None) -> bool:
        """Whether trying is in vain. What is kept for a request may be free for it alone."""
        if waiting.reservation_id in self._snapshot.claims:
            return False
        fewest = self._fewest.get(_key(waiting, allowed))
        return fewest is not None and len(waiting.replicas) >= fewest

    def add(self, waiting: Waiting, allowed: Flags | None) -> None:
        """It did not fit."""
        key = _key(waiting, allowed)
        self._fewest[key] = min(len(waiting.replicas), self._fewest.get(key, len(waiting.replicas)))


def _key(waiting: Waiting, allowed: Flags | None) -> Hashable:
    return waiting.request.resources, waiting.request.expected, None if allowed is None else allowed.tobytes()
