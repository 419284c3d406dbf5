"""Events for the tests of the plumbing, which cares for none in particular."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.envelope import Event
from schemas.node import NodeRemoved
from services.kit.ids import new_id

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def node_removed(node: str, sequence: int | None = None) -> Event[NodeRemoved]:
    """That a node is gone."""
    data = NodeRemoved(node=node, reason="drained")
    return Event(str(new_id()), "/taxiway/deployer", NOON, data, actor="service:deployer", sequence=sequence)
