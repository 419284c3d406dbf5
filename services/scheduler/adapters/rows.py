"""Rows of the scheduler's tables from values of the domain, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row as SqlRow

from schemas.resources import Allocation, Resources
from services.scheduler.domain.decision import Decided, Numbered, Placed, Queued, Rejected, Released
from services.scheduler.domain.model import Cause, Node, Request, Tenant
from services.scheduler.ports import Recorded

Row = dict[str, Any]

STATES = {Placed: "reserved", Queued: "waiting", Rejected: "rejected"}
"""State of a reservation after each decision about it."""


def node_row(pool: str, node: Node, rank: int) -> Row:
    """For table `nodes`."""
    return {"pool": pool, "rank": rank, **asdict(node)}


def tenant_row(pool: str, tenant: Tenant) -> Row:
    """For table `tenants`."""
    return {"pool": pool, **asdict(tenant)}


def reservation_row(pool: str, decided: Decided) -> Row:
    """For table `reservations`: the request and what became of it."""
    request = decided.request
    return {
        "tenant_id": request.tenant_id,
        "reservation_id": request.reservation_id,
        "pool": pool,
        "deployment_id": request.deployment_id,
        "state": STATES[type(decided.decision)],
        "revision": request.revision,
        "stage": request.stage,
        "replicas": request.replicas,
        "resources": request.resources.model_dump_json(),
        "priority": request.priority,
        "arrival": request.arrival,
        **asdict(request.cause),
    }


def released_row(pool: str, released: Released) -> Row:
    """For table `reservations`: that it ended."""
    return {
        "tenant_id": released.tenant_id,
        "reservation_id": released.reservation_id,
        "pool": pool,
        "deployment_id": released.deployment_id,
    }


def allocation_rows(request: Request, placed: Placed) -> list[Row]:
    """For table `allocations`."""
    return [
        {
            "tenant_id": request.tenant_id,
            "reservation_id": request.reservation_id,
            "replica": allocation.replica,
            "node": allocation.node,
            "devices": list(allocation.devices),
            "gpu_milli": allocation.gpu_milli,
        }
        for allocation in placed.allocations
    ]


def decision_row(recorded: Recorded, applied: int) -> Row:
    """For table `decisions`: what was decided, by which input, and what else was possible."""
    outcome, record = recorded.outcome, recorded.record
    subject = outcome if isinstance(outcome, Released) else outcome.request
    return {
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


def _words(outcome: Numbered) -> Row:
    """The columns that depend on the kind of outcome."""
    row: Row = {"reason": "", "gpu_milli": 0, "score": None, "allocations": "[]", "alternatives": "[]"}
    if isinstance(outcome, Released):
        return row | {"outcome": "released", "explanation": outcome.reason, "gpu_milli": outcome.gpu_milli}
    decision = outcome.decision
    if isinstance(decision, Placed):
        return row | {
            "outcome": "placed",
            "explanation": decision.explanation,
            "gpu_milli": outcome.request.gpu_milli,
            "score": decision.score,
            "allocations": json.dumps([allocation.model_dump() for allocation in decision.allocations]),
            "alternatives": json.dumps([asdict(other) for other in decision.alternatives]),
        }
    name = "queued" if isinstance(decision, Queued) else "rejected"
    return row | {"outcome": name, "reason": decision.reason.value, "explanation": decision.detail}


def node_of(row: SqlRow[Any]) -> Node:
    """A row of table `nodes`."""
    return Node(row.name, row.cpu_milli, row.memory_mib, row.gpu_count, row.gpu_model, row.is_present)


def tenant_from(row: SqlRow[Any]) -> Tenant:
    """A row of table `tenants`."""
    return Tenant(row.tenant_id, row.max_gpu_milli, row.is_suspended)


def request_from(row: SqlRow[Any]) -> Request:
    """A row of table `reservations` that is waiting or reserved."""
    return Request(
        reservation_id=row.reservation_id,
        deployment_id=row.deployment_id,
        tenant_id=row.tenant_id,
        revision=row.revision,
        stage=row.stage,
        replicas=row.replicas,
        resources=Resources.model_validate_json(row.resources, extra="ignore"),
        pool=row.pool,
        priority=row.priority,
        arrival=row.arrival,
        cause=Cause(row.input_id, row.input_position, row.origin),
    )


def allocations_by_reservation(rows: Iterable[SqlRow[Any]]) -> Mapping[Any, tuple[Allocation, ...]]:
    """Rows of table `allocations`, in the replicas' order, by reservation id."""
    found: dict[Any, list[Allocation]] = {}
    for row in rows:
        allocation = Allocation(replica=row.replica, node=row.node, devices=tuple(row.devices), gpu_milli=row.gpu_milli)
        found.setdefault(row.reservation_id, []).append(allocation)
    return {key: tuple(value) for key, value in found.items()}
