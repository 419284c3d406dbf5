"""A demo that went well, as its log and its senders tell it; tests spoil one thing each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from infra.demo.canaries import canary_faults, needed_gpu_milli
from infra.demo.deployments import BAD, WEIGHTS, Deployed, plan_deployments
from infra.demo.tenants import Tenant
from infra.demo.traffic import Answered
from schemas.base import EventData
from schemas.deployment import DeploymentRequested
from schemas.envelope import Event, encode
from schemas.placement import CapacityReleased, CapacityReserved, DecisionRecord
from schemas.resources import Allocation
from schemas.rollout import (
    AnalysisCompleted,
    Measurement,
    RolloutAborted,
    RolloutPromoted,
    RolloutRolledBack,
    StageEntered,
    TrafficShifted,
    Verdict,
)
from services.kit.messaging.record import Record
from services.kit.messaging.replay import Replayed, read

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEEN = Measurement(requests=40, errors=0, latency_p99_ms=20)
WINDOW_SECONDS = 3
PER_SECOND = 20
DECISION = DecisionRecord(
    pool="default",
    number=17,
    policy="best_fit",
    policy_version="1",
    decided_at=NOON,
    input_id="e1",
    input_position="taxiway.deployment.events.v1/0/0",
)


def tenants() -> list[Tenant]:
    """Two tenants that cannot be called."""
    return [
        Tenant(name, str(UUID(int=number)), cast(Any, None), cast(Any, None))
        for number, name in enumerate(("acme", "globex"), start=1)
    ]


def reservation(number: int, revision: int) -> UUID:
    """The one reservation of a revision."""
    return UUID(int=1000 * revision + number)


@dataclass
class World:
    """Eight deployments of which two got a bad second version."""

    deployments: list[Deployed] = field(default_factory=lambda: plan_deployments(tenants()))
    log: list[Replayed] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    now: datetime = NOON

    def __post_init__(self) -> None:
        for number, item in enumerate(self.deployments):
            item.deployment_id = str(UUID(int=100 + number))
            item.state = "rolled_back" if number in BAD else "serving"

    @classmethod
    def that_went_well(cls) -> World:
        """All good versions promoted, both bad ones found out at their first stage."""
        world = cls()
        for number in range(len(world.deployments)):
            world.first_revision(number)
            world.second_revision(number)
        return world

    @property
    def used_milli(self) -> int:
        """What the stable versions need."""
        return needed_gpu_milli(self.deployments)

    def faults(self, used_milli: int | None = None) -> list[str]:
        """What the check of step 4 says."""
        used = self.used_milli if used_milli is None else used_milli
        return canary_faults(self.deployments, self.log, self.answered, used)

    def about(self, number: int, revision: int) -> dict[str, Any]:
        """The deployment and revision that an event is about."""
        return {"deployment_id": UUID(self.deployments[number].deployment_id), "revision": revision}

    def say(self, *said: EventData, actor: str = "service:deployer", cause: str | None = None) -> None:
        """Append events to the log, now."""
        for data in said:
            offset = len(self.log)
            event: Event[Any] = Event(f"e{offset}", "/test", self.now, data, actor=actor, causationid=cause)
            value, headers = encode(event)
            stamp = int(self.now.timestamp() * 1000)
            self.log.append(read(Record(data.topic, 0, offset, data.key.encode(), value, list(headers), stamp)))

    def ask(self, number: int, revision: int) -> None:
        """The request for a revision, and the GPUs reserved for it."""
        item, about = self.deployments[number], self.about(number, revision)
        held = reservation(number, revision)
        actor = "producer:acme-producer" if item.by_kafka else "key:demo"
        self.say(DeploymentRequested(**about, spec=item.spec, reservation_id=held, first_stage_replicas=1), actor=actor)
        gpu_milli = item.spec.replicas * item.spec.resources.total_gpu_milli
        place = Allocation(replica=0, node="node-1", devices=(0,), gpu_milli=item.spec.resources.gpu_milli)
        self.say(
            CapacityReserved(
                **about,
                reservation_id=held,
                decision=DECISION,
                stage=0,
                allocations=(place,),
                gpu_milli=gpu_milli,
                explanation="placed on node-1 device 0: tightest fit",
            ),
            actor="service:scheduler",
        )

    def release(self, number: int, revision: int) -> None:
        """All GPUs of a revision come back."""
        item = self.deployments[number]
        self.say(
            CapacityReleased(
                reservation_id=reservation(number, revision),
                deployment_id=UUID(item.deployment_id),
                decision=DECISION,
                gpu_milli=item.spec.replicas * item.spec.resources.total_gpu_milli,
                reason="done",
            )
        )

    def stage(self, number: int, revision: int, stage: int, weight: int, verdict: Verdict) -> None:
        """One stage from its beginning to its verdict, under traffic."""
        about = self.about(number, revision)
        self.say(StageEntered(**about, stage=stage, weight=weight, ready_replicas=1))
        self.say(TrafficShifted(**about, weight=weight))
        self.flow(number, {revision - 1: 100 - weight, revision: weight})
        self.say(AnalysisCompleted(**about, stage=stage, verdict=verdict, reason="seen", canary=SEEN))

    def flow(self, number: int, shares: dict[int, int]) -> None:
        """Let time pass under steady traffic, split exactly by `shares` (percent by revision)."""
        owed = dict.fromkeys(shares, 0)
        for _ in range(WINDOW_SECONDS * PER_SECOND):
            owed = {revision: credit + shares[revision] for revision, credit in owed.items()}
            chosen = max(owed, key=lambda revision: owed[revision])
            owed[chosen] -= 100
            self.answered.append(Answered(self.deployments[number].deployment_id, self.now, 200, chosen))
            self.now += timedelta(seconds=1 / PER_SECOND)

    def first_revision(self, number: int) -> None:
        """What there is nothing to compare with: one stage."""
        self.ask(number, 1)
        self.stage(number, 1, 0, 100, Verdict.PASS)
        self.say(RolloutPromoted(**self.about(number, 1), version="1.0"))

    def second_revision(self, number: int, weights: Sequence[int] = WEIGHTS) -> None:
        """The next version: stage by stage to promotion, or back after the first."""
        self.ask(number, 2)
        if number in BAD:
            self.stage(number, 2, 0, weights[0], Verdict.FAIL)
            return self.roll_back(number)
        for stage, weight in enumerate(weights):
            self.stage(number, 2, stage, weight, Verdict.PASS)
        self.say(RolloutPromoted(**self.about(number, 2), version="2.0"))
        return self.release(number, 1)

    def roll_back(self, number: int) -> None:
        """The way back of a bad version."""
        about = self.about(number, 2)
        self.say(RolloutAborted(**about, reason="error rate"))
        self.now += timedelta(seconds=1)
        self.say(TrafficShifted(**about, weight=0))
        self.flow(number, {1: 100})
        self.release(number, 2)
        self.say(RolloutRolledBack(**about, reason="error rate"))

    def without(self, is_wanted: Callable[[Any], bool]) -> None:
        """Drop the events whose data `is_wanted`."""
        self.log = [replayed for replayed in self.log if replayed.event and not is_wanted(replayed.event.data)]
