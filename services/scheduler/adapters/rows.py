"""Rows of the scheduler's tables from values of the domain, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import singledispatch
from typing import Any
from uuid import UUID

from sqlalchemy import Row as SqlRow

from schemas.tenant import GpuQuota
from services.scheduler.adapters.requests import allocations_json, claim_json, request_json
from services.scheduler.domain.decision import Decided, Drain, DrainWithdrawn, Lost, Numbered, Placed, Queued, Released
from services.scheduler.domain.model import Claim, Node, Tenant
from services.scheduler.domain.snapshot import Snapshot
from services.scheduler.ports import Recorded

Row = dict[str, Any]


def node_row(pool: str, node: Node, rank: int) -> Row:
    """For table `nodes`."""
    return {"pool": pool, "rank": rank, **asdict(node), "failed_devices": list(node.failed_devices)}


def tenant_row(pool: str, tenant: Tenant) -> Row:
    """For table `tenants`."""
    return {
        "pool": pool,
        "tenant_id": tenant.tenant_id,
        "max_gpu_milli": tenant.max_gpu_milli,
        "is_suspended": tenant.is_suspended,
        "weight": tenant.weight,
        "quotas": json.dumps([quota.model_dump() for quota in tenant.quotas]),
    }


def reservation_row(snapshot: Snapshot, reservation_id: UUID) -> Row:
    """For table `reservations`: all that the snapshot says of it now; of what ended, that it did."""
    tenant_id, deployment_id, request = snapshot.touched[reservation_id]
    held, waiting = snapshot.reservations.get(reservation_id), snapshot.queue.find(reservation_id)
    return {
        "tenant_id": tenant_id,
        "reservation_id": reservation_id,
        "pool": snapshot.pool,
        "deployment_id": deployment_id,
        "state": "reserved" if held else "waiting" if waiting else "ended",
        "arrival": request.arrival if request else None,
        "request": request_json(request) if request else None,
        "allocations": allocations_json(held.allocations) if held else "[]",
        "waiting": list(waiting.replicas) if waiting else [],
        "is_lost": waiting is not None and waiting.is_lost,
        "since": held.since if held else None,
    }


def claim_row(pool: str, tenant_id: UUID, claim: Claim) -> Row:
    """For table `claims`."""
    return {
        "pool": pool,
        "tenant_id": tenant_id,
        "reservation_id": claim.reservation_id,
        "claim": claim_json(claim),
    }


def decision_row(recorded: Recorded, applied: int) -> Row:
    """For table `decisions`: what was decided, by which input, and what else was possible."""
    outcome, record = recorded.outcome, recorded.record
    subject = outcome if isinstance(outcome, Released) else outcome.request
    row: Row = {"reason": "", "gpu_milli": 0, "score": None, "allocations": "[]", "alternatives": "[]"}
    return row | {
        "tenant_id": subject.tenant_id,
        "pool": record.pool,
        "number": record.number,
        "applied": applied,
        "reservation_id": subject.reservation_id,
        "deployment_id": subject.deployment_id,
        "policy": record.policy,
        "policy_version": record.policy_version,
        "decided_at": record.decided_at,
        "input_id": record.input_id,
        "input_position": record.input_position,
        **_words(outcome),
    }


@singledispatch
def _words(outcome: Numbered) -> Row:
    """The columns that depend on the kind of outcome."""
    raise TypeError(f"{type(outcome).__name__} is no outcome with a number")


@_words.register
def _(outcome: Released) -> Row:
    return {"outcome": "released", "explanation": outcome.reason, "gpu_milli": outcome.gpu_milli}


@_words.register
def _(outcome: Lost) -> Row:
    return {
        "outcome": "lost",
        "reason": outcome.reason.value,
        "explanation": outcome.detail,
        "gpu_milli": outcome.gpu_milli,
    }


@_words.register
def _(outcome: Drain) -> Row:
    return {
        "outcome": "drain",
        "reason": outcome.reason.value,
        "explanation": outcome.detail,
        "gpu_milli": outcome.gpu_milli,
    }


@_words.register
def _(outcome: DrainWithdrawn) -> Row:
    return {"outcome": "drain_withdrawn", "explanation": outcome.reason}


@_words.register
def _(outcome: Decided) -> Row:
    decision = outcome.decision
    if isinstance(decision, Placed):
        return {
            "outcome": "placed",
            "explanation": decision.explanation,
            "gpu_milli": outcome.request.gpu_milli,
            "score": decision.score,
            "allocations": allocations_json(decision.all_allocations),
            "alternatives": json.dumps([asdict(other) for other in decision.alternatives]),
        }
    name = "queued" if isinstance(decision, Queued) else "rejected"
    return {"outcome": name, "reason": decision.reason.value, "explanation": decision.detail}


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
    return Tenant(row.tenant_id, row.max_gpu_milli, row.is_suspended, row.weight, quotas)
