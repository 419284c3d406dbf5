"""What the log alone says of revisions on their way: the steps of each, the times of its weights, the GPUs held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.base import EventData
from schemas.envelope import Event
from schemas.placement import CapacityReleased, CapacityReserved
from schemas.rollout import (
    AnalysisCompleted,
    RolloutAborted,
    RolloutPromoted,
    RolloutRolledBack,
    StageEntered,
    TrafficShifted,
    Verdict,
)
from services.kit.messaging.replay import Replayed

Held = dict[tuple[str, int], int]
"""Milli-GPUs by deployment and revision."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time for which a weight stood, from its being read back to the verdict on it."""

    deployment_id: str
    revision: int
    weight: int
    """Percent of traffic."""
    since: datetime
    until: datetime


def events_of(log: Iterable[Replayed]) -> Iterator[Event[EventData]]:
    """The events of `log` in its order, each once: what stands on the wire twice happened once."""
    seen: set[tuple[str, str]] = set()
    for replayed in log:
        event = replayed.event
        if event is not None and (event.source, event.id) not in seen:
            seen.add((event.source, event.id))
            yield event


def trail(log: Iterable[Replayed], deployment_id: str, revision: int) -> list[str]:
    """The steps of one revision's rollout in a word or two each: `stage 0`, `10 %`, `Pass`, …, `promoted`.

    A window that was extended because there was no data yet is no step.
    """
    own = (event.data for event in events_of(log) if event.key == deployment_id)
    return [step for data in own if getattr(data, "revision", 0) == revision and (step := _step(data))]


def _step(data: Any) -> str | None:
    match data:
        case StageEntered():
            return f"stage {data.stage}"
        case TrafficShifted():
            return f"{data.weight} %"
        case AnalysisCompleted(verdict=verdict):
            return None if verdict is Verdict.NO_DATA else verdict.value
        case RolloutPromoted():
            return "promoted"
        case RolloutAborted():
            return "aborted"
        case RolloutRolledBack():
            return "rolled back"
    return None


def promoted_trail(weights: Sequence[int]) -> list[str]:
    """The trail of a version that passed every stage in order."""
    return [*_passed(weights), "promoted"]


def rolled_back_trails(weights: Sequence[int]) -> list[list[str]]:
    """The trails that a bad version may have: found out at a stage before it had all traffic, and taken back to 0."""
    return [
        [*_passed(weights[:stage]), f"stage {stage}", f"{weight} %", "Fail", "aborted", "0 %", "rolled back"]
        for stage, weight in enumerate(weights[:-1])
    ]


def _passed(weights: Sequence[int]) -> Iterator[str]:
    for stage, weight in enumerate(weights):
        yield from (f"stage {stage}", f"{weight} %", "Pass")


def windows_of(log: Iterable[Replayed]) -> list[Window]:
    """The windows of all revisions, whatever the verdict at their end."""
    found: list[Window] = []
    standing: dict[tuple[str, int], tuple[int, datetime]] = {}
    for event in events_of(log):
        data = event.data
        if isinstance(data, TrafficShifted):
            standing[data.key, data.revision] = (data.weight, event.time)
        elif isinstance(data, AnalysisCompleted) and data.verdict is not Verdict.NO_DATA:
            weight, since = standing.pop((data.key, data.revision), (0, event.time))
            found.append(Window(data.key, data.revision, weight, since, event.time))
    return found


def drained_at(log: Iterable[Replayed]) -> Mapping[tuple[str, int], datetime]:
    """When the weight of a deployment's revision was read back as 0."""
    return {
        (event.key, event.data.revision): event.time
        for event in events_of(log)
        if isinstance(event.data, TrafficShifted) and event.data.weight == 0
    }


def held_gpus(log: Iterable[Replayed]) -> Held:
    """What is reserved and not released, by deployment and revision; those that hold nothing are left out."""
    reserved: dict[object, CapacityReserved] = {}
    for event in events_of(log):
        if isinstance(event.data, CapacityReserved):
            reserved[event.data.reservation_id] = event.data
        elif isinstance(event.data, CapacityReleased):
            reserved.pop(event.data.reservation_id, None)
    held: Held = {}
    for data in reserved.values():
        held[data.key, data.revision] = held.get((data.key, data.revision), 0) + data.gpu_milli
    return held
