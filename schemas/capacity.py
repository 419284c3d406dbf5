"""Questions about a pool's capacity and their answers, the state of its queue, and the order of its inputs. Key: the
pool.

A question is an input of the pool like any other: it is answered by the pool's owner, on what it knew at that place of
its log, and changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from schemas.base import ContractModel, EventData, Milli, Name, Reason, Timestamp, Word
from schemas.placement import QueueReason, RejectedPlace
from schemas.resources import Allocation, Resources
from schemas.text import Text

MOST_ENTRIES = 500
"""Entries of a queue that a report lists."""


class CapacityEvent(EventData):
    """Base of questions, answers and reports about one pool."""

    pool: Name
    """The pool it is about."""

    @property
    def key(self) -> str:
        """The pool."""
        return self.pool


class CapacityDemand(ContractModel):
    """A request that nobody has made yet."""

    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """Replicas, all or none."""
    resources: Resources
    """Demand of one replica."""
    priority: Annotated[int, Field(ge=0, le=1000)] = 100
    """Its priority."""
    preemptible: bool = False
    """Whether it could be drained for others."""
    expected_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """How long it would hold its GPUs; None = nobody knows."""


class CapacityQuestion(CapacityEvent):
    """Base of what is asked; the asking tenant is the envelope's."""

    topic: ClassVar[str] = "taxiway.capacity.questions.v1"

    question_id: UUID
    """Identity of the question; its answer carries it."""
    demand: CapacityDemand
    """What it is about."""


class AskWhatIf(CapacityQuestion):
    """Would this fit, where, what would be drained for it, and when?"""

    type: ClassVar[str] = "taxiway.capacity.ask-what-if.v1"


class AskDefragmentation(CapacityQuestion):
    """Which serving replicas would have to move to make room for this?"""

    type: ClassVar[str] = "taxiway.capacity.ask-defragmentation.v1"


class CapacityAnswer(CapacityEvent):
    """Base of what is answered and reported."""

    topic: ClassVar[str] = "taxiway.capacity.events.v1"


class WouldBe(StrEnum):
    """What would become of a demand."""

    PLACED = "placed"
    """It fits now."""
    PLACED_AFTER_DRAINING = "placed-after-draining"
    """It fits once others have drained."""
    QUEUED = "queued"
    """It would wait."""
    REJECTED = "rejected"
    """It would be refused."""


class Eviction(ContractModel):
    """Replicas that would be drained."""

    reservation_id: UUID
    """Their reservation."""
    deployment_id: UUID
    """Their deployment."""
    replicas: tuple[int, ...]
    """Their numbers."""
    gpu_milli: Milli
    """Thousandths of a GPU that they hold."""
    priority: int
    """Their priority."""


class WhatIfAnswered(CapacityAnswer):
    """What would become of the demand, had it been made."""

    type: ClassVar[str] = "taxiway.capacity.what-if-answered.v1"

    question_id: UUID
    """The question."""
    outcome: WouldBe
    """What would become of it."""
    reason: QueueReason | None = None
    """Why it would wait or be refused."""
    detail: Reason
    """The same in words, with numbers."""
    allocations: tuple[Allocation, ...] = ()
    """Where it would go."""
    alternatives: tuple[RejectedPlace, ...] = ()
    """The best of the other nodes."""
    evictions: tuple[Eviction, ...] = ()
    """What would be drained for it."""
    position: int | None = None
    """Its place in the queue, from 1."""
    estimated_start: Timestamp | None = None
    """When it would start, as far as ends are known."""
    as_of_decision: Annotated[int, Field(ge=0)]
    """Number of the pool's last decision before the answer."""


class Move(ContractModel):
    """One serving replica's pod on its way: surge at the new place, shift the traffic, release the old one."""

    reservation_id: UUID
    """Its reservation."""
    deployment_id: UUID
    """Its deployment."""
    source: Allocation
    """Where it is."""
    target: Allocation
    """Where it would go."""


class DefragmentationPlanned(CapacityAnswer):
    """The fewest moves found that make room for the demand; none is carried out by this."""

    type: ClassVar[str] = "taxiway.capacity.defragmentation-planned.v1"

    question_id: UUID
    """The question."""
    is_possible: bool
    """Whether the demand fits after the moves."""
    detail: Reason
    """In words: what is moved, or why nothing helps."""
    moves: tuple[Move, ...] = ()
    """In the order in which they must be made."""
    moved_gpu_milli: Milli = 0
    """Cost: thousandths of a GPU that are held twice while their traffic shifts, over all moves."""
    allocations: tuple[Allocation, ...] = ()
    """Where the demand would go then."""
    as_of_decision: Annotated[int, Field(ge=0)]
    """Number of the pool's last decision before the answer."""


class QueueEntry(ContractModel):
    """A request that waits."""

    reservation_id: UUID
    """The reservation."""
    deployment_id: UUID
    """The deployment."""
    tenant_id: UUID
    """The tenant."""
    position: Annotated[int, Field(ge=1)]
    """Place in the order in which requests are tried."""
    reason: QueueReason
    """Why it waits."""
    detail: Reason
    """The same in words."""
    estimated_start: Timestamp | None = None
    """When it will start, as far as ends are known."""
    replicas: int
    """Replicas that wait."""
    gpu_milli: Milli
    """Thousandths of a GPU that they need."""
    priority: int
    """Their priority."""
    waiting_since: Timestamp
    """When it was asked for."""


class CapacityHint(ContractModel):
    """What a node autoscaler would have to add so that the head of the queue starts."""

    reservation_id: UUID
    """The request at the head."""
    nodes: Annotated[int, Field(ge=1)]
    """Nodes to add."""
    gpu_model: Word
    """Of this model; empty for nodes without GPU."""
    gpu_count: int
    """Devices of each."""
    cpu_milli: Milli
    """CPU of each."""
    memory_mib: int
    """Memory of each, in MiB."""
    detail: Reason
    """In words."""


class QueueReported(CapacityAnswer):
    """Who waits in a pool, in the order in which they are tried. The newest report replaces the ones before it."""

    type: ClassVar[str] = "taxiway.capacity.queue-reported.v1"

    at: Timestamp
    """When it was so."""
    as_of_decision: Annotated[int, Field(ge=0)]
    """Number of the pool's last decision."""
    length: Annotated[int, Field(ge=0)]
    """Requests that wait, all of them."""
    entries: Annotated[tuple[QueueEntry, ...], Field(max_length=MOST_ENTRIES)]
    """The first of them."""
    hints: tuple[CapacityHint, ...] = ()
    """What to add so that the head starts; the cheapest first."""


class AppliedInput(ContractModel):
    """One input of a pool, at its place in the order in which the pool applied them."""

    number: Annotated[int, Field(ge=1)]
    """Its number, gap-free."""
    input_id: Annotated[str, Text(256)]
    """Id of its message; empty for the passing of time."""
    input_position: Annotated[str, Text(300)]
    """Where its record stands: `topic/partition/offset`; empty for the passing of time."""
    at: Timestamp
    """The time that it was applied at; never before the one of the input before it."""


class InputsApplied(CapacityEvent):
    """The order in which a pool applied its inputs. With the records themselves it is all that a replay needs."""

    type: ClassVar[str] = "taxiway.placement.inputs-applied.v1"
    topic: ClassVar[str] = "taxiway.placement.log.v1"

    inputs: Annotated[tuple[AppliedInput, ...], Field(max_length=1000)]
    """In order."""
    policy: Word
    """Policy that decided."""
    policy_version: Word
    """Its version."""


class TimePassed(CapacityEvent):
    """A moment came that the pool's owner had to wait for: a deadline, a promised start. The owner records it among the
    pool's inputs; it is not sent, and a replay finds it in `InputsApplied` by its empty id."""

    type: ClassVar[str] = "taxiway.placement.time-passed.v1"
    topic: ClassVar[str] = "taxiway.placement.log.v1"
