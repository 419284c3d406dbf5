"""Runs the jobs of a cohort through the scheduler's domain: what ends is released, what is drained asks again."""

from __future__ import annotations

import heapq
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bench.admission.load import Job, ground, jobs
from schemas.base import EventData
from schemas.capacity import TimePassed
from schemas.tenant import PLATFORM_TENANT
from services.scheduler.domain.apply import apply
from services.scheduler.domain.decision import Decided, Drain, Outcome, Placed
from services.scheduler.domain.model import Cause, Input
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.pool.snapshot import Snapshot

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of a cohort."""

    jobs: list[Job]
    admissions: int
    """Also those that were preempted later."""
    preemptions: int
    seconds: float
    """Processor time that the scheduler took for all of it: others on the machine do not count."""
    longest: float
    """Processor time of the longest step."""


class Cohort:
    """One pool on a virtual clock; a millisecond of the load is a second of the pool."""

    def __init__(self, number: int, policy: str = "default") -> None:
        self.snapshot = Snapshot("cohort", policy_named(policy))
        self.jobs = jobs(number)
        self._running: dict[UUID, Job] = {}
        """By what they hold."""
        self._asked: dict[UUID, Job] = {}
        self._ends: list[tuple[int, int, UUID]] = []
        self._now = 0
        self._admissions = self._preemptions = 0
        self._seconds = self._longest = 0.0
        for data, tenant_id in ground(number):
            self._apply(data, tenant_id)

    def run(self, most: int | None = None) -> Outcomes:
        """All jobs, or so many, until the last one has ended or nothing can end any more."""
        self._seconds = self._longest = 0.0
        coming = deque(self.jobs[:most])
        while coming or self._ends:
            if not coming or (self._ends and self._ends[0][0] <= coming[0].created):
                at, _, reservation_id = heapq.heappop(self._ends)
                self._go_on(at)
                self._end(reservation_id)
            else:
                job = coming.popleft()
                self._go_on(job.created)
                self._ask(job)
        return Outcomes(self.jobs, self._admissions, self._preemptions, self._seconds, self._longest)

    def _go_on(self, until: int) -> None:
        while (due := self.snapshot.next_due()) is not None and due < START + timedelta(seconds=until):
            self._now = max(self._now, int((due - START).total_seconds()))
            self._tell(TimePassed(pool="cohort"), PLATFORM_TENANT)
        self._now = until

    def _ask(self, job: Job) -> None:
        self._asked[job.reservation_id] = job
        self._tell(job.asks(), job.tenant_id)

    def _end(self, reservation_id: UUID) -> None:
        job = self._running.pop(reservation_id, None)
        if job is not None:
            job.finished = self._now
            self._tell(job.gives_back("finished"), job.tenant_id)

    def _tell(self, data: EventData, tenant_id: UUID) -> None:
        """One input, and all that the load answers to what comes of it."""
        inputs = deque([(data, tenant_id)])
        while inputs:
            for outcome in self._apply(*inputs.popleft()):
                if isinstance(outcome, Decided) and isinstance(outcome.decision, Placed):
                    self._admit(outcome.request.reservation_id)
                elif isinstance(outcome, Drain):
                    inputs += self._preempt(outcome.request.reservation_id)

    def _admit(self, reservation_id: UUID) -> None:
        job = self._asked.pop(reservation_id)
        self._admissions += 1
        job.admitted = self._now if job.admitted is None else job.admitted
        self._running[reservation_id] = job
        heapq.heappush(self._ends, (self._now + job.kind.runtime, self._admissions, reservation_id))

    def _preempt(self, reservation_id: UUID) -> list[tuple[EventData, UUID]]:
        """It ends at once, and asks again."""
        job = self._running.pop(reservation_id)
        self._preemptions += 1
        release = job.gives_back("preempted")
        job.attempt += 1
        self._asked[job.reservation_id] = job
        return [(release, job.tenant_id), (job.asks(), job.tenant_id)]

    def _apply(self, data: EventData, tenant_id: UUID) -> list[Outcome]:
        entry = Input(data, tenant_id, Cause("", ""))
        at = START + timedelta(seconds=self._now)
        began = time.process_time()
        outcomes = apply(self.snapshot, entry, at)
        took = time.process_time() - began
        self._seconds += took
        self._longest = max(self._longest, took)
        self.snapshot.settled()
        return outcomes
