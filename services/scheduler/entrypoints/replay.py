"""Reads a pool's log from Kafka and applies it once more.

Does the recorded policy give the recorded decisions, and what would another one have done?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from schemas.base import EventData
from schemas.capacity import InputsApplied, TimePassed
from schemas.envelope import Event
from schemas.node import NodeEvent
from schemas.placement import PlacementEvent
from schemas.tenant import PLATFORM_TENANT, TenantEvent
from schemas.topics import PLACEMENT_EVENTS, PLACEMENT_LOG, SCHEDULER_QUEUE, Topic, topics_of
from services.kit.errors import PermanentError
from services.kit.messaging.replay import Replayed, replay
from services.scheduler.domain.audit.comparison import Series
from services.scheduler.domain.audit.rerun import Rerun
from services.scheduler.domain.model import Cause, Input
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.policies.interface import Policy

TOPICS: tuple[Topic, ...] = (PLACEMENT_LOG, *topics_of(SCHEDULER_QUEUE), PLACEMENT_EVENTS)
"""What a replay reads: the order of inputs first, then the inputs, then what was decided."""


class ReplayError(PermanentError):
    """The log does not hold what a replay needs."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One input as the pool applied it."""

    number: int
    entry: Input
    at: datetime
    """The time that it was applied at, UTC."""
    policy: str
    policy_version: str


@dataclass(slots=True)
class Recording:
    """A pool's inputs in the order in which it applied them, and its decisions by number."""

    pool: str
    inputs: list[Logged] = field(default_factory=list)
    decisions: dict[int, PlacementEvent] = field(default_factory=dict)

    def until(self, number: int) -> Recording:
        """The part up to the input of that number."""
        decisions = {
            key: event for key, event in self.decisions.items() if (event.decision.input_number or 0) <= number
        }
        return Recording(self.pool, [each for each in self.inputs if each.number <= number], decisions)


def read_recording(bootstrap: str, pool: str) -> Recording:
    """All that the log holds about the pool. Blocks.

    Raises `ReplayError` when something is missing, `TransientError` when Kafka is away.
    """
    return collect(pool, replay(bootstrap, TOPICS))


def collect(pool: str, log: Iterator[Replayed]) -> Recording:
    """The recording among these records; the order of inputs must come before the inputs. Raises `ReplayError`."""
    order: list[InputsApplied] = []
    wanted: set[str] = set()
    inputs: dict[str, Event[EventData]] = {}
    recording = Recording(pool)
    for item in log:
        data = item.event.data if item.event is not None else None
        if item.event is None or data is None:
            continue
        if isinstance(data, InputsApplied):
            if data.pool == pool:
                order.append(data)
                wanted.update(each.input_position for each in data.inputs)
        elif isinstance(data, PlacementEvent):
            if data.decision.pool == pool:
                recording.decisions[data.decision.number] = data
        elif str(item.record.position) in wanted:
            inputs[str(item.record.position)] = item.event
    recording.inputs = list(_in_order(pool, order, inputs))
    return recording.until(len(recording.inputs))


def _in_order(pool: str, order: list[InputsApplied], inputs: dict[str, Event[EventData]]) -> Iterator[Logged]:
    expected = 1
    for batch in order:
        for each in batch.inputs:
            if each.number < expected:  # the relay of a killed process may repeat itself
                continue
            if each.number > expected:
                raise ReplayError(f"pool {pool}: the log goes on at input {each.number} where {expected} should follow")
            expected += 1
            entry = _entry(pool, each.input_id, each.input_position, inputs)
            yield Logged(each.number, entry, each.at, batch.policy, batch.policy_version)


def _entry(pool: str, input_id: str, position: str, inputs: dict[str, Event[EventData]]) -> Input:
    cause = Cause(input_id, position)
    if not input_id:
        return Input(TimePassed(pool=pool), PLATFORM_TENANT, cause)
    event = inputs.get(position)
    if event is None or event.id != input_id:
        raise ReplayError(f"pool {pool}: input {input_id} is not at {position} any more")
    return Input(event.data, tenant_of(event), cause)


def tenant_of(event: Event[EventData]) -> UUID:
    """Whose input it is."""
    if isinstance(event.data, TenantEvent):
        return event.data.tenant_id
    if isinstance(event.data, NodeEvent) or event.tenantid is None:
        return PLATFORM_TENANT
    return UUID(event.tenantid)


@dataclass(slots=True)
class Check:
    """How far the recorded policy gives the recorded decisions."""

    compared: int = 0
    """Decisions that were compared."""
    different: list[tuple[PlacementEvent | None, PlacementEvent | None]] = field(default_factory=list)
    """Recorded and recomputed; None where one of them is missing."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Inputs decided by a policy or version that this release does not have, by that name; nothing after the first of
    them can be compared."""

    @property
    def holds(self) -> bool:
        """Whether all agree, and all could be compared."""
        return not self.different and not self.unknown


def check(recording: Recording) -> Check:
    """Decide once more, by the policies that decided then, and compare byte for byte."""
    found = Check()
    again: Rerun | None = None
    recomputed: dict[int, PlacementEvent] = {}
    for logged in recording.inputs:
        policy = _policy_of(logged)
        if policy is None or found.unknown:
            name = f"{logged.policy} {logged.policy_version}"
            found.unknown[name] = found.unknown.get(name, 0) + 1
            continue
        again = again or Rerun(recording.pool, policy)
        again.follow(policy)
        for event in again.apply(logged.entry, logged.at):
            recomputed[event.decision.number] = event
    known = max((event.decision.input_number or 0 for event in recomputed.values()), default=0)
    for number in sorted(recomputed.keys() | recording.decisions.keys()):
        recorded, ours = recording.decisions.get(number), recomputed.get(number)
        if ours is None and found.unknown and recorded and (recorded.decision.input_number or 0) > known:
            continue
        found.compared += 1
        if recorded is None or ours is None or recorded.model_dump_json() != ours.model_dump_json():
            found.different.append((recorded, ours))
    return found


def _policy_of(logged: Logged) -> Policy | None:
    policy = policy_named(logged.policy)
    return policy if policy.version == logged.policy_version else None


def series_of(recording: Recording) -> Series:
    """The recorded decisions."""
    series = Series()
    for number in sorted(recording.decisions):
        series.add(recording.decisions[number])
    return series


def series_by(recording: Recording, policy: Policy) -> Series:
    """The decisions of another policy on the same inputs."""
    series, again = Series(), Rerun(recording.pool, policy)
    for logged in recording.inputs:
        for event in again.apply(logged.entry, logged.at):
            series.add(event)
    return series
