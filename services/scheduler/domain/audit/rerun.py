"""A pool's log applied once more, by the policy that decided then or by another one.

The inputs are those of the log. What people and the deployer would have asked and released next, had they been answered
differently, nobody knows: a release of what another policy has not placed yet ends its waiting.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

from schemas.placement import PlacementEvent
from services.scheduler.domain.apply import apply
from services.scheduler.domain.audit.events import event_of, record_for
from services.scheduler.domain.decision import Decided, Rejected, is_numbered
from services.scheduler.domain.model import Input, Request
from services.scheduler.domain.policies.interface import Policy
from services.scheduler.domain.pool.snapshot import Snapshot

REMEMBERED = 5000
"""Requests from which a policy that takes over from another learns the pool's recent past: what the store gives."""


class Rerun:
    """A pool that starts with nothing."""

    def __init__(self, pool: str, policy: Policy) -> None:
        self.snapshot = Snapshot(pool, policy)
        self._recent: deque[Request] = deque(maxlen=REMEMBERED)

    def follow(self, policy: Policy) -> None:
        """From here on this policy decides, as when the pool's owner was started with another setting."""
        snapshot = self.snapshot
        if policy is snapshot.policy:
            return
        snapshot.policy = policy
        snapshot.chooser = policy.chooser(snapshot.cluster)
        snapshot.memory_at = 0
        for request in self._recent:
            snapshot.saw(request)

    def apply(self, entry: Input, at: datetime) -> list[PlacementEvent]:
        """What the pool says of the input. Raises `UnexpectedInputError`."""
        snapshot = self.snapshot
        outcomes = apply(snapshot, entry, at)
        events = []
        for outcome in outcomes:
            if not is_numbered(outcome):
                continue
            if isinstance(outcome, Decided) and not isinstance(outcome.decision, Rejected):
                self._remember(outcome.request)
            record = record_for(snapshot, outcome, snapshot.applied, snapshot.now)
            events.append(event_of(outcome, record))
        snapshot.settled()
        return events

    def _remember(self, request: Request) -> None:
        """A request is seen when it is asked for, and not again when it starts."""
        if request.arrival == self.snapshot.applied:
            self._recent.append(request)
