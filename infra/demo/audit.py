"""Step 7 and the figures: what the log alone says."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from infra.demo.deployments import Deployed
from infra.demo.trails import events_of
from schemas.base import EventData
from schemas.deployment import DeploymentRequested
from schemas.placement import CapacityRejected, CapacityReserved
from schemas.rollout import AnalysisCompleted, RolloutPromoted, RolloutRolledBack, StageEntered, TrafficShifted
from schemas.topics import DEPLOYMENT_EVENTS, PLACEMENT_EVENTS, ROLLOUT_EVENTS
from services.cli.history import HistoryLine, read_history
from services.kit.messaging.replay import Replayed, replay


def read_log(bootstrap: str) -> list[Replayed]:
    """All deployment, placement and rollout events."""
    return list(replay(bootstrap, [DEPLOYMENT_EVENTS, PLACEMENT_EVENTS, ROLLOUT_EVENTS]))


def deployment_faults(log: Sequence[Replayed], deployments: Sequence[Deployed]) -> Iterator[str]:
    """First revisions that do not serve, or did not come by the channel they were meant to; nothing when all did."""
    actors = {
        event.key: event.actor or ""
        for event in events_of(log)
        if isinstance(event.data, DeploymentRequested) and event.data.revision == 1
    }
    for item in deployments:
        if item.state != "serving":
            yield f"{item.spec.name} is {item.state}"
        channel, actor = "producer:" if item.by_kafka else "key:", actors.get(item.deployment_id, "")
        if not actor.startswith(channel):
            yield f"{item.spec.name} was asked for by {actor or 'nobody'} instead of a {channel.rstrip(':')}"
    if len({item.by_kafka for item in deployments}) < 2:
        yield "only one channel was used"


def count(log: Sequence[Replayed]) -> dict[str, int]:
    """Revisions requested, promoted, rolled back and rejected."""
    told: dict[type[EventData], set[tuple[str, int]]] = defaultdict(set)
    for replayed in log:
        if replayed.event is not None:
            data = replayed.event.data
            told[type(data)].add((data.key, getattr(data, "revision", 0)))
    return {
        "requested": len(told[DeploymentRequested]),
        "promoted": len(told[RolloutPromoted]),
        # What was refused its GPUs never began, so there was nothing to roll back.
        "rolled_back": len(told[RolloutRolledBack] & told[StageEntered]),
        "rejected": len(told[CapacityRejected]),
    }


def seconds_to_placement(log: Sequence[Replayed], deployments: Sequence[Deployed]) -> list[float]:
    """From a request's being sent to its GPUs' being on the log, for every revision, in seconds, sorted."""
    asked = {
        (UUID(item.deployment_id), revision): moment
        for item in deployments
        for revision, moment in item.asked_at.items()
    }
    found: dict[tuple[UUID, int], datetime] = {}
    for replayed in log:
        if replayed.event is not None and isinstance(data := replayed.event.data, CapacityReserved) and data.stage == 0:
            found.setdefault((data.deployment_id, data.revision), replayed.record.appended_at)
    return sorted((found[key] - moment).total_seconds() for key, moment in asked.items() if key in found)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the sorted `values` do not exceed (nearest rank)."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def history_of(bootstrap: str, item: Deployed) -> list[HistoryLine]:
    """Everything that happened to a deployment, from Kafka alone."""
    return read_history(bootstrap, UUID(item.deployment_id))


def history_faults(lines: Sequence[HistoryLine], revision: int, weights: Sequence[int]) -> Iterator[str]:
    """What the printed history lacks of a promoted revision: who asked, each decision with its reason, each stage, the
    end; a time and a place on every line, and its lag on every line but the first. Nothing when all is there.
    """
    for what, kind, pattern in _wanted(revision, weights):
        if not any(line.type == kind.type and re.search(pattern, line.words) for line in lines):
            yield f"it does not say {what}"
    if not any(line.type == DeploymentRequested.type and line.actor for line in lines):
        yield "it does not say who asked"
    for number, line in enumerate(lines):
        if not line.words or not line.place:
            yield f"line {number + 1} is without words or place"
        if number and (line.lag_seconds is None or line.lag_seconds < 0):
            yield f"line {number + 1} has the lag {line.lag_seconds}"
    times = [line.appended_at for line in lines]
    if times != sorted(times):
        yield "it is not in the order of time"


def _wanted(revision: int, weights: Sequence[int]) -> Iterator[tuple[str, type[EventData], str]]:
    """What must be said, by which event, and the words that say it."""
    asked = rf"^(API key|Producer|\w+) \S.* asked for revision {revision} of \S+, and it was admitted"
    decided = rf"for stage 0 of revision {revision}: .*Decision \d+ of pool \S+ by policy \S+ \S+: \S+"
    yield f"who asked for revision {revision}", DeploymentRequested, asked
    yield "what was decided for it, and why", CapacityReserved, decided
    for stage, weight in enumerate(weights):
        name = f"[Ss]tage {stage} of revision {revision}"
        yield f"that stage {stage} began", StageEntered, rf"^{name} began: \d+ replicas? ready, {weight} %"
        yield f"that {weight} % were read back", TrafficShifted, rf"revision {revision} gets {weight} %"
        yield f"the verdict on stage {stage} with its reason", AnalysisCompleted, rf"{name} says Pass: .*\d+ request"
    yield "that it was promoted", RolloutPromoted, rf"^Revision {revision}, version \S+, has all traffic"
