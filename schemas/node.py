"""Nodes of the cluster. Key: the node's name."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import EventData, Milli, Name, Reason, Word
from schemas.text import Text


class NodeEvent(EventData):
    """Base of what is observed about one node."""

    topic: ClassVar[str] = "taxiway.node.events.v1"

    node: Annotated[str, Text(253, shortest=1)]
    """Name of the node."""

    @property
    def key(self) -> str:
        """The node's name."""
        return self.node


class NodeObserved(NodeEvent):
    """A node is there, with this allocatable capacity."""

    type: ClassVar[str] = "taxiway.node.observed.v1"

    pool: Name = "default"
    """Pool it belongs to."""
    cpu_milli: Milli
    """Thousandths of a CPU core."""
    memory_mib: Annotated[int, Field(ge=0)]
    """Memory in MiB."""
    gpu_count: Annotated[int, Field(ge=0, le=64)]
    """GPU devices."""
    gpu_model: Word = ""
    """GPU model; empty without GPU."""
    failed_devices: tuple[Annotated[int, Field(ge=0, lt=64)], ...] = ()
    """Indexes of devices that are broken: what runs on them is lost, and nothing new goes there."""
    is_cordoned: bool = False
    """Whether the node takes nothing new; what runs on it stays."""
    zone: Word = ""
    """Where it stands, such as a rack or a zone of the cloud; empty when nothing is said."""


class NodeRemoved(NodeEvent):
    """A node is gone."""

    type: ClassVar[str] = "taxiway.node.removed.v1"

    reason: Reason
    """Why it is gone."""
