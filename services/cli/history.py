"""What happened to a deployment, read back from the log alone: neither the API nor a database is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from schemas.base import EventData
from schemas.envelope import Event, read_attributes
from schemas.errors import ContractError
from schemas.topics import TOPICS
from schemas.words import in_words
from services.kit.messaging.replay import Replayed, replay

DEPLOYMENT_TOPICS = tuple(topic for topic in TOPICS if topic.key == "deployment id")
"""Everything that is recorded about one deployment has its id as the key."""


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One record of the log, in words."""

    appended_at: datetime
    """When the log took it, UTC, by the broker's clock."""
    event_id: str
    """CloudEvents id; empty when the record names none."""
    type: str
    """CloudEvents type; empty when the record names none."""
    actor: str | None
    """Who caused it, such as `user:ann` or `service:scheduler`."""
    words: str
    """What happened, as a sentence."""
    topic: str
    partition: int
    offset: int
    caused_by: str | None = None
    """Id of the event that caused it, as it says itself."""
    lag_seconds: float | None = None
    """Log-append time behind `lag_to`'s; None on the first line."""
    lag_to: str | None = None
    """Place of the cause when it is among the lines, else of the line before."""

    @property
    def place(self) -> str:
        """`topic/partition/offset`."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def read_history(bootstrap: str, deployment_id: UUID) -> list[HistoryLine]:
    """Every record under the deployment's key, in order of log-append time; empty for a deployment that never was.

    Blocks. Raises `TransientError` when Kafka is away, `PermanentError` when a topic does not exist.
    """
    return history_of(replay(bootstrap, DEPLOYMENT_TOPICS, key=str(deployment_id)))


def history_of(records: Iterable[Replayed]) -> list[HistoryLine]:
    """The lines of `records`, with their lags. An event that was delivered to the log twice happened once."""
    lines: list[HistoryLine] = []
    seen: set[tuple[str, str]] = set()
    for replayed in sorted(records, key=_order):
        event = replayed.event
        if event is not None and (event.source, event.id) in seen:
            continue
        if event is not None:
            seen.add((event.source, event.id))
        lines.append(_unreadable(replayed) if event is None else _line(replayed, event))
    return _with_lags(lines)


def _order(replayed: Replayed) -> tuple[int, int, int, int]:
    """Where the log's clock does not tell (it has milliseconds), the topics' order in the contract, then the offset."""
    record = replayed.record
    names = [topic.name for topic in DEPLOYMENT_TOPICS]
    rank = names.index(record.topic) if record.topic in names else len(names)
    return record.timestamp_ms, rank, record.partition, record.offset


def _line(replayed: Replayed, event: Event[EventData]) -> HistoryLine:
    record = replayed.record
    return HistoryLine(
        appended_at=record.appended_at,
        event_id=event.id,
        type=event.type,
        actor=event.actor,
        words=in_words(event),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        caused_by=event.causationid,
    )


def _unreadable(replayed: Replayed) -> HistoryLine:
    """A record that this release cannot read is told, not hidden: an audit must see that something is there."""
    record = replayed.record
    line = HistoryLine(
        record.appended_at,
        "",
        "",
        None,
        f"Cannot be read: {replayed.error}",
        record.topic,
        record.partition,
        record.offset,
    )
    try:
        known = read_attributes(record.headers)
    except ContractError:
        return line
    return replace(line, event_id=known.id, type=known.type, actor=known.actor, caused_by=known.causationid)


def _with_lags(lines: list[HistoryLine]) -> list[HistoryLine]:
    by_id = {line.event_id: line for line in lines if line.event_id}
    previous: HistoryLine | None = None
    lagging: list[HistoryLine] = []
    for line in lines:
        cause = by_id.get(line.caused_by or "", previous)
        lagging.append(line if cause is None else _behind(line, cause))
        previous = line
    return lagging


def _behind(line: HistoryLine, cause: HistoryLine) -> HistoryLine:
    seconds = (line.appended_at - cause.appended_at).total_seconds()
    return replace(line, lag_seconds=seconds, lag_to=cause.place)
