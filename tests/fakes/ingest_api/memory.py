"""In-memory adapters; they pass the same contract tests as the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from schemas.envelope import Event
from schemas.usage import UsageReported
from services.kit.errors import TransientError

Mark = tuple[UUID, str, str]


class InMemoryDuplicateMarks:
    """`DuplicateMarks` in a dictionary; nothing expires."""

    def __init__(self) -> None:
        self.states: dict[Mark, str] = {}

    async def claim(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> set[str] | None:
        """See the port."""
        states = {sample_id: self.states.get((tenant_id, source, sample_id)) for sample_id in ids}
        if "pending" in states.values():
            return None
        fresh = {sample_id for sample_id, state in states.items() if state is None}
        self.states |= {(tenant_id, source, sample_id): "pending" for sample_id in fresh}
        return fresh

    async def done(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> None:
        """See the port."""
        self.states |= {(tenant_id, source, sample_id): "done" for sample_id in ids}

    async def forget(self, tenant_id: UUID, source: str, ids: Sequence[str]) -> None:
        """See the port."""
        for sample_id in ids:
            self.states.pop((tenant_id, source, sample_id), None)


class InMemoryUsageLog:
    """`UsageLog` in a list; away while `is_away`."""

    def __init__(self) -> None:
        self.events: list[Event[UsageReported]] = []
        self.is_away = False

    async def append(self, event: Event[UsageReported]) -> None:
        """See the port."""
        if self.is_away:
            raise TransientError("Kafka is away")
        self.events.append(event)
