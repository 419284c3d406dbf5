"""A pool with a clock, a shelf and books: what goes in, what comes out, and what must follow from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from schemas.base import EventData
from schemas.placement import QueueReason, ReleaseCapacity, ReserveCapacity
from services.scheduler.domain.apply import apply
from services.scheduler.domain.decision import (
    Decided,
    Drain,
    DrainWithdrawn,
    Lost,
    Outcome,
    Placed,
    Queued,
    Rejected,
    Released,
    is_numbered,
)
from services.scheduler.domain.model import Request
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.settle import settle
from tests.fakes.scheduler.builders import NOW, TEAM, entry, time_passed
from tests.fakes.scheduler.shelf import Shelf
from tests.fakes.scheduler.truths import check, content


class Told(NamedTuple):
    """One input, as it was applied."""

    data: EventData
    tenant_id: UUID
    at: datetime


class World:
    """Drives a pool as its owner does."""

    def __init__(self, policy: str = "default", *, restarts: bool = False) -> None:
        self.snapshot = Snapshot("default", policy_named(policy))
        self.now = NOW
        self.log: list[Told] = []
        self.said: list[Outcome] = []
        """All outcomes, in order."""
        self.requests: dict[UUID, Request] = {}
        """All that was asked for and decided about."""
        self.places: dict[UUID, set[int]] = {}
        """Replicas that are placed, as the outcomes tell."""
        self.drains: dict[tuple[UUID, int], UUID] = {}
        """Claimants by who was asked to drain for them and has not, as the outcomes tell."""
        self._restarts = restarts
        self._shelf = Shelf()

    def tell(self, data: EventData, tenant_id: UUID = TEAM, seconds: int = 0) -> list[Outcome]:
        """So many seconds later an input comes; before it, what is due by then."""
        self.now += timedelta(seconds=seconds)
        due = self.snapshot.next_due()
        if due is not None and due <= self.now:
            self.apply(Told(time_passed(), TEAM, self.now))
        return self.apply(Told(data, tenant_id, self.now))

    def apply(self, told: Told) -> list[Outcome]:
        """Apply one input and keep the books."""
        before = self._net()
        without_bound = self._without_bound(told)
        self.log.append(told)
        outcomes = apply(self.snapshot, entry(told.data, told.tenant_id), told.at)
        self.snapshot.decided += sum(is_numbered(outcome) for outcome in outcomes)
        assert not self.snapshot.failed_retries
        self.said += outcomes
        for outcome in outcomes:
            self._note(outcome)
        self._shelf.keep(self.snapshot, outcomes)
        self._limits_hold(before)
        if without_bound is not None:
            self._bound_holds(told, outcomes, without_bound)
        if self._restarts:
            self.restart()
        return outcomes

    def restart(self) -> None:
        """Go on from what is stored."""
        self.snapshot = self._shelf.load(self.snapshot)

    def check(self) -> None:
        """What must be true now."""
        check(self.snapshot)
        again = self._shelf.load(self.snapshot)
        assert content(again) == content(self.snapshot), "what is stored is all there is"
        self._each_is_somewhere()
        asked = {
            (victim.reservation_id, replica): claim.reservation_id
            for claim in self.snapshot.claims.values()
            for victim in claim.victims
            for replica in victim.replicas
        }
        assert asked == self.drains, "who is to drain was asked, and nobody else"
        started = [each for each in settle(again) if isinstance(each, Decided) and isinstance(each.decision, Placed)]
        assert not started, "nobody waits who could be placed"

    def _each_is_somewhere(self) -> None:
        """Asked = placed + queued + ended, each replica exactly once."""
        snapshot = self.snapshot
        for reservation_id, request in self.requests.items():
            held = snapshot.reservations.get(reservation_id)
            waiting = snapshot.queue.find(reservation_id)
            places = list(held.replicas if held else ()) + list(waiting.replicas if waiting else ())
            assert (held is None and waiting is None) == (reservation_id in snapshot.closed)
            given_back = self._given_back(reservation_id)
            if reservation_id not in snapshot.closed:
                assert sorted([*places, *given_back]) == list(range(request.replicas))
            assert self.places.get(reservation_id, set()) == set(held.replicas if held else ())
        assert set(snapshot.reservations) | {each.reservation_id for each in snapshot.queue} <= set(self.requests)

    def _given_back(self, reservation_id: UUID) -> set[int]:
        """Replicas that were released one by one, placed or not."""
        parts = (
            told.data.replicas
            for told in self.log
            if isinstance(told.data, ReleaseCapacity)
            and told.data.reservation_id == reservation_id
            and told.tenant_id == self.requests[reservation_id].tenant_id
            and self._came_after(told, reservation_id)
        )
        return {each for part in parts for each in part if each < self.requests[reservation_id].replicas}

    def _came_after(self, told: Told, reservation_id: UUID) -> bool:
        """Whether an input came after the request; one that came before it closed it."""
        return self.log.index(told) + 1 > self.requests[reservation_id].arrival

    def _net(self) -> Counter[UUID]:
        """Thousandths that each tenant holds beyond what it holds on credit."""
        snapshot = self.snapshot
        one_of_each = {request.tenant_id: request for request in self.requests.values()}
        return Counter(
            {
                each: snapshot.shares.gpu_milli(each) - snapshot.credits.after(one_of_each[each], 0)
                for each in one_of_each
            }
        )

    def _limits_hold(self, before: Counter[UUID]) -> None:
        """Nobody gets more than the limit and the credit allow; who had more keeps it."""
        for tenant_id, net in self._net().items():
            limit = self.snapshot.tenant(tenant_id).max_gpu_milli
            assert limit is None or net <= max(limit, before[tenant_id])

    def _without_bound(self, told: Told) -> tuple[list[Outcome], bool] | None:
        """Of a request whose tenant may let no more wait: what would follow if it might, and whether it would wait."""
        data, tenant = told.data, self.snapshot.tenant(told.tenant_id)
        if not isinstance(data, ReserveCapacity) or self.snapshot.knows(data.reservation_id):
            return None
        if len(self.snapshot.queue.of(told.tenant_id)) < tenant.max_waiting:
            return None
        again = self._shelf.load(self.snapshot)
        again.set_tenant(replace(tenant, max_waiting=10**6))
        outcomes = apply(again, entry(data, told.tenant_id), told.at)
        return outcomes, data.reservation_id in again.queue

    def _bound_holds(self, told: Told, outcomes: list[Outcome], without: tuple[list[Outcome], bool]) -> None:
        """What would have to wait is refused and has no other effect; to all else the bound makes no difference."""
        followed, would_wait = without
        if not would_wait:
            assert outcomes == followed
            return
        (decided,) = outcomes
        assert isinstance(decided, Decided)
        assert isinstance(decided.decision, Rejected)
        assert decided.decision.reason is QueueReason.QUOTA_EXCEEDED
        assert "max_waiting_requests" in decided.decision.detail

    def _note(self, outcome: Outcome) -> None:
        if isinstance(outcome, Decided):
            self._decided(outcome)
        elif isinstance(outcome, Released):
            request = self.requests.get(outcome.reservation_id)
            if request is None or request.tenant_id != outcome.tenant_id:
                assert outcome.gpu_milli == 0
            else:
                self._gone(request, set(outcome.replicas) or set(range(request.replicas)), outcome.gpu_milli)
        elif isinstance(outcome, Lost):
            self._gone(outcome.request, set(outcome.replicas), outcome.gpu_milli)
        elif isinstance(outcome, Drain):
            for replica in outcome.replicas:
                assert (
                    self.drains.setdefault((outcome.request.reservation_id, replica), outcome.claimant)
                    == outcome.claimant
                )
        elif isinstance(outcome, DrainWithdrawn):
            for replica in outcome.replicas:
                assert self.drains.pop((outcome.request.reservation_id, replica)) == outcome.claimant

    def _decided(self, outcome: Decided) -> None:
        request, decision = outcome.request, outcome.decision
        self.requests[request.reservation_id] = request
        places = self.places.setdefault(request.reservation_id, set())
        if isinstance(decision, Placed):
            new = {each.replica for each in decision.allocations}
            assert not new & places, "nothing is placed twice"
            places |= new
            assert {each.replica for each in decision.all_allocations} == places
        elif isinstance(decision, Rejected):
            assert not places
        else:
            assert isinstance(decision, Queued)

    def _gone(self, request: Request, replicas: set[int], gpu_milli: int) -> None:
        """What is given back or lost is exactly what was held."""
        places = self.places[request.reservation_id]
        gone = places & replicas
        assert gpu_milli == len(gone) * request.resources.total_gpu_milli
        places -= gone
        for replica in gone:
            self.drains.pop((request.reservation_id, replica), None)
