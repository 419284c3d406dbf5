"""Rows of the scheduler's tables from values of the domain, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import singledispatch
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row as SqlRow

from schemas.tenant import GpuQuota
from services.scheduler.adapters.requests import allocations_json, as_json, claim_json, request_json
from services.scheduler.domain.decision import Decided, Drain, DrainWithdrawn, Lost, Numbered, Placed, Queued, Released
from services.scheduler.domain.model import Claim, Node, Tenant
from services.scheduler.domain.pool.remembered import stored
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.ports import Recorded

Row = tuple[Any, ...]
"""Values in the order of the columns of its statement (see `statements`)."""


class Words(NamedTuple):
    """The columns of a decision that depend on its kind."""

    outcome: str
    reason: str = ""
    explanation: str = ""
    gpu_milli: int = 0
    score: int | None = None
    allocations: str = "[]"
    alternatives: str = "[]"


def pool_row(snapshot: Snapshot) -> Row:
    """For table `pools`: how far it has come."""
    return (
        snapshot.pool,
        snapshot.applied,
        snapshot.decided,
        snapshot.now,
        stored(snapshot.policy, snapshot.chooser),
        snapshot.memory_at,
    )


def node_row(pool: str, node: Node, rank: int) -> Row:
    """For table `nodes`."""
    return (
        pool,
        node.name,
        rank,
        node.cpu_milli,
        node.memory_mib,
        node.gpu_count,
        node.gpu_model,
        node.is_present,
        node.is_cordoned,
        _array(node.failed_devices),
        node.zone,
    )


def tenant_row(pool: str, tenant: Tenant) -> Row:
    """For table `tenants`."""
    quotas = json.dumps([quota.model_dump() for quota in tenant.quotas])
    return (
        tenant.tenant_id,
        pool,
        tenant.max_gpu_milli,
        tenant.is_suspended,
        tenant.weight,
        quotas,
        tenant.max_waiting,
    )


def reservation_row(snapshot: Snapshot, reservation_id: UUID, first: int) -> Row:
    """For table `reservations`: all that the snapshot says of it now; of what ended, that it did.

    `first` is the number of the batch's first input. What ended and was asked for before that has its request in the
    table, and keeps it.
    """
    tenant_id, deployment_id, request = snapshot.touched[reservation_id]
    held, waiting = snapshot.reservations.get(reservation_id), snapshot.queue.find(reservation_id)
    state = "reserved" if held else "waiting" if waiting else "ended"
    is_stored = request is None or (state == "ended" and request.arrival < first)
    return (
        tenant_id,
        reservation_id,
        snapshot.pool,
        deployment_id,
        state,
        request.arrival if request else None,
        None if is_stored or request is None else request_json(request),
        allocations_json(held.allocations) if held else "[]",
        _array(waiting.replicas) if waiting else "{}",
        waiting is not None and waiting.is_lost,
        held.since if held else None,
    )


def _array(numbers: Iterable[int]) -> str:
    """As PostgreSQL writes an array: rows of arrays of different lengths can be passed as text only."""
    return "{" + ",".join(map(str, numbers)) + "}"


def claim_row(pool: str, tenant_id: UUID, claim: Claim) -> Row:
    """For table `claims`."""
    return tenant_id, claim.reservation_id, pool, claim_json(claim)


def decision_row(recorded: Recorded, applied: int) -> Row:
    """For table `decisions`: what was decided, by which input, and what else was possible."""
    outcome, record = recorded.outcome, recorded.record
    subject = outcome if isinstance(outcome, Released) else outcome.request
    return (
        subject.tenant_id,
        record.pool,
        record.number,
        applied,
        subject.reservation_id,
        subject.deployment_id,
        *_words(outcome),
        record.policy,
        record.policy_version,
        record.decided_at,
        record.input_id,
        record.input_position,
    )


@singledispatch
def _words(outcome: Numbered) -> Words:
    raise TypeError(f"{type(outcome).__name__} is no outcome with a number")


@_words.register
def _(outcome: Released) -> Words:
    return Words("released", "", outcome.reason, outcome.gpu_milli)


@_words.register
def _(outcome: Lost) -> Words:
    return Words("lost", outcome.reason.value, outcome.detail, outcome.gpu_milli)


@_words.register
def _(outcome: Drain) -> Words:
    return Words("drain", outcome.reason.value, outcome.detail, outcome.gpu_milli)


@_words.register
def _(outcome: DrainWithdrawn) -> Words:
    return Words("drain_withdrawn", "", outcome.reason)


@_words.register
def _(outcome: Decided) -> Words:
    decision = outcome.decision
    if isinstance(decision, Placed):
        return Words(
            "placed",
            "",
            decision.explanation,
            outcome.request.gpu_milli,
            decision.score,
            allocations_json(decision.all_allocations),
            as_json(decision.alternatives),
        )
    name = "queued" if isinstance(decision, Queued) else "rejected"
    return Words(name, decision.reason.value, decision.detail)


def node_of(row: SqlRow[Any]) -> Node:
    """A row of table `nodes`."""
    return Node(
        row.name,
        row.cpu_milli,
        row.memory_mib,
        row.gpu_count,
        row.gpu_model,
        row.is_present,
        row.is_cordoned,
        tuple(row.failed_devices),
        row.zone,
    )


def tenant_from(row: SqlRow[Any]) -> Tenant:
    """A row of table `tenants`."""
    quotas = tuple(GpuQuota.model_validate(each, extra="ignore") for each in json.loads(row.quotas))
    return Tenant(row.tenant_id, row.max_gpu_milli, row.is_suspended, row.weight, quotas, row.max_waiting)
