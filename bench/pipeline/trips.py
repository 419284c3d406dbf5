"""The way of one request, from REST to the placement event, and how its time divides among the stages."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bench.pipeline.listening import Heard
from bench.statistics import percentile

HALF_TICK = 0.0005
"""The broker's log-append time is cut to milliseconds; half of one is what that loses on average, in seconds."""

STAGES = (
    "rest, until the event is said",
    "ingest: commit and relay",
    "scheduler: consume, claim, record",
    "scheduler: commit, wake, load, decide",
    "scheduler: save, commit and relay",
    "read by the bench",
)


@dataclass(frozen=True, slots=True)
class Trip:
    """One deployment request. All times are clocks of one machine."""

    deployment_id: str
    asked: float
    """When it was sent, or should have been: `time.perf_counter()`."""
    asked_wall: float
    """The same moment in seconds since the epoch."""
    answered: float
    """When the answer was there: `time.perf_counter()`."""
    requested: Heard
    """DeploymentRequested, as ingest said it."""
    reserved: Heard
    """CapacityReserved, as the scheduler said it."""

    @property
    def milliseconds(self) -> float:
        """From asking to having the placement event in hand."""
        return (self.reserved.at - self.asked) * 1000

    @property
    def answer_milliseconds(self) -> float:
        """From asking to the answer 202."""
        return (self.answered - self.asked) * 1000


def stages_of(trip: Trip, recorded_at: datetime) -> dict[str, float]:
    """Milliseconds per stage; `recorded_at` is when the scheduler wrote the request into its log of inputs.

    The stages add up to the whole trip, but for what the two clocks of the bench differ.
    """
    moments = (
        trip.asked_wall,
        trip.requested.event.time.timestamp(),
        _appended(trip.requested),
        recorded_at.timestamp(),
        trip.reserved.event.data.decision.decided_at.timestamp(),
        _appended(trip.reserved),
        trip.reserved.at_wall,
    )
    spans = zip(STAGES, itertools.pairwise(moments), strict=True)
    return {stage: (after - before) * 1000 for stage, (before, after) in spans}


def median_stages(trips: Sequence[Trip], recorded_at: Mapping[str, datetime]) -> dict[str, float]:
    """The median of each stage in milliseconds; `recorded_at` by the id of DeploymentRequested."""
    divided = [stages_of(trip, recorded_at[trip.requested.event.id]) for trip in trips]
    return {stage: percentile([stages[stage] for stages in divided], 50) for stage in STAGES}


def _appended(heard: Heard) -> float:
    if heard.event.position is None:
        raise ValueError("the event was not read from Kafka")
    return heard.event.position.appended_at.timestamp() + HALF_TICK
