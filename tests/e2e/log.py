"""Exactness, checked on the log itself: what was sent is there, and nothing happened twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from schemas.base import EventData
from schemas.deployment import DeploymentRejected, DeploymentRequested
from schemas.envelope import Event
from schemas.placement import CapacityReleased, CapacityReserved, PlacementEvent, PlacementMessage
from schemas.rollout import RolloutAborted
from schemas.topics import DEPLOYMENT_EVENTS, PLACEMENT_COMMANDS, PLACEMENT_EVENTS, QUOTA_EVENTS, ROLLOUT_EVENTS
from services.kit.messaging.replay import replay

TOPICS = (DEPLOYMENT_EVENTS, PLACEMENT_COMMANDS, PLACEMENT_EVENTS, ROLLOUT_EVENTS, QUOTA_EVENTS)
"""What the services say through their outboxes."""

DataT = TypeVar("DataT", bound=EventData)


@dataclass(frozen=True, slots=True)
class Log:
    """Everything that the services have said, in the order of each key."""

    events: Sequence[tuple[Event[EventData], datetime]]
    """The first record of each (topic, source, id), and when it was appended."""
    copies: int
    """Further records of an identity: sent again, because it was not known whether the first had arrived."""

    def data(self, kind: type[DataT]) -> list[DataT]:
        """What the events of one kind say."""
        return [event.data for event, _ in self.events if isinstance(event.data, kind)]

    def appended(self, kind: type[EventData]) -> list[datetime]:
        """When each event of one kind was appended, in order of time."""
        return sorted(appended_at for event, appended_at in self.events if isinstance(event.data, kind))

    @property
    def requested(self) -> Counter[str]:
        """How often each deployment's name was admitted."""
        return Counter(data.spec.name for data in self.data(DeploymentRequested))

    @property
    def used_milli(self) -> int:
        """GPUs in use after the last event, in thousandths."""
        released = {data.reservation_id for data in self.data(CapacityReleased)}
        return sum(data.gpu_milli for data in self.data(CapacityReserved) if data.reservation_id not in released)


def read_log(bootstrap: str) -> Log:
    """Read it from the beginning; blocks. Every record must keep the contract."""
    first: dict[tuple[str, str, str], tuple[Event[EventData], datetime]] = {}
    records = 0
    for replayed in replay(bootstrap, TOPICS):
        assert replayed.event is not None, f"{replayed.record.position}: {replayed.error}"
        identity = (replayed.record.topic, replayed.event.source, replayed.event.id)
        first.setdefault(identity, (replayed.event, replayed.record.appended_at))
        records += 1
    return Log(list(first.values()), records - len(first))


def check_once(log: Log, sent: Iterable[str]) -> None:
    """Each deployment that was sent was admitted once and got its GPUs once; nothing of any key is missing or moved."""
    went_back = [data for kind in (DeploymentRejected, RolloutAborted, CapacityReleased) for data in log.data(kind)]
    assert went_back == [], f"no outage and no restart is a reason to go back: {went_back[:3]}"
    wanted = Counter(list(sent))
    assert (log.requested - wanted, wanted - log.requested) == (Counter(), Counter()), "admitted more, or less often"
    asked = Counter(data.reservation_id for data in log.data(DeploymentRequested))
    assert _reservations(log.data(CapacityReserved)) == asked
    numbers = sorted(data.decision.number for data in log.data(PlacementEvent))
    assert numbers == list(range(1, len(numbers) + 1)), "the pool's decisions are numbered without gap"
    _check_sequences(log)


def _check_sequences(log: Log) -> None:
    sequences: dict[tuple[str, str], list[int | None]] = defaultdict(list)
    for event, _ in log.events:
        sequences[event.data.topic, event.key].append(event.sequence)
    broken = {key: found for key, found in sequences.items() if found != list(range(1, len(found) + 1))}
    assert broken == {}, "the events of each key stand in their order, without gap"


def _reservations(messages: Sequence[PlacementMessage]) -> Counter[UUID]:
    return Counter(data.reservation_id for data in messages)
