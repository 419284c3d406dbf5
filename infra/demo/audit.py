"""Step 7 and the figures: what the log alone says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from infra.demo.deployments import Deployed
from schemas.base import EventData
from schemas.deployment import DeploymentRequested
from schemas.placement import CapacityRejected, CapacityReserved
from schemas.rollout import AnalysisCompleted, RolloutPromoted, RolloutRolledBack, StageEntered, TrafficShifted
from schemas.topics import DEPLOYMENT_EVENTS, PLACEMENT_EVENTS, ROLLOUT_EVENTS
from services.cli.history import HistoryLine, read_history
from services.kit.messaging.replay import Replayed, replay

WHOLE_STORY = (DeploymentRequested, CapacityReserved, StageEntered, TrafficShifted, AnalysisCompleted, RolloutPromoted)
"""What the history of a promoted canary must have."""


def read_log(bootstrap: str) -> list[Replayed]:
    """All deployment, placement and rollout events."""
    return list(replay(bootstrap, [DEPLOYMENT_EVENTS, PLACEMENT_EVENTS, ROLLOUT_EVENTS]))


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


def tells_the_whole_story(lines: Sequence[HistoryLine]) -> bool:
    """Whether who asked, what was decided, each stage and the end stand in it, every one with its place in the log."""
    types = {line.type for line in lines}
    return {kind.type for kind in WHOLE_STORY} <= types and all(line.place and line.words for line in lines)
