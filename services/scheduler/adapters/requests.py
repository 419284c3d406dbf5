"""A request as JSON, and back. Fields that a release before it did not write have their defaults."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row as SqlRow

from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Cause, Claim, Request, Reservation, Victim, Waiting
from services.scheduler.domain.nodes.shape import Seen, seen_of


def as_json(value: Any) -> str:
    """Models, dataclasses and plain values as JSON."""
    return to_json(value).decode()


def request_json(request: Request) -> str:
    """What table `reservations` keeps of the request beside its own columns."""
    return as_json(
        {
            "revision": request.revision,
            "stage": request.stage,
            "replicas": request.replicas,
            "resources": request.resources,
            "priority": request.priority,
            "asked_at": request.asked_at.isoformat(),
            "cause": request.cause,
            "preemptible": request.preemptible,
            "is_surge": request.is_surge,
            "is_elastic": request.is_elastic,
            "start_within": _seconds(request.start_within),
            "expected": _seconds(request.expected),
        }
    )


def request_from(row: SqlRow[Any]) -> Request:
    """The request of a row of table `reservations` that is waiting or reserved."""
    kept: dict[str, Any] = json.loads(row.request)
    return Request(
        reservation_id=row.reservation_id,
        deployment_id=row.deployment_id,
        tenant_id=row.tenant_id,
        revision=kept["revision"],
        stage=kept["stage"],
        replicas=kept["replicas"],
        resources=Resources.model_validate(kept["resources"], extra="ignore"),
        pool=row.pool,
        priority=kept["priority"],
        arrival=row.arrival,
        asked_at=datetime.fromisoformat(kept["asked_at"]),
        cause=Cause(**{name: kept["cause"][name] for name in ("input_id", "input_position", "origin")}),
        preemptible=kept.get("preemptible", False),
        is_surge=kept.get("is_surge", False),
        is_elastic=kept.get("is_elastic", False),
        start_within=_length(kept.get("start_within")),
        expected=_length(kept.get("expected")),
    )


def reservation_from(row: SqlRow[Any]) -> Reservation:
    """What a row of table `reservations` holds."""
    return Reservation(request_from(row), _allocations(json.loads(row.allocations)), row.since)


def waiting_from(row: SqlRow[Any]) -> Waiting:
    """What of a row of table `reservations` waits."""
    return Waiting(request_from(row), tuple(row.waiting), row.is_lost)


def seen_from(row: SqlRow[Any]) -> Seen:
    """What a policy remembers of a request."""
    return seen_of(row.arrival, Resources.model_validate_json(row.resources, extra="ignore"), row.replicas)


def allocations_json(allocations: tuple[Allocation, ...]) -> str:
    """Places as JSON."""
    return as_json(allocations)


def claim_json(claim: Claim) -> str:
    """What table `claims` keeps."""
    return as_json(
        {
            "resources": claim.resources,
            "allocations": claim.allocations,
            "victims": [[str(victim.reservation_id), victim.replicas] for victim in claim.victims],
            "promised_at": claim.promised_at.isoformat() if claim.promised_at else None,
        }
    )


def claim_from(row: SqlRow[Any]) -> Claim:
    """A row of table `claims`."""
    kept: dict[str, Any] = json.loads(row.claim)
    return Claim(
        reservation_id=row.reservation_id,
        resources=Resources.model_validate(kept["resources"], extra="ignore"),
        allocations=_allocations(kept["allocations"]),
        victims=tuple(Victim(UUID(each), tuple(replicas)) for each, replicas in kept["victims"]),
        promised_at=datetime.fromisoformat(kept["promised_at"]) if kept["promised_at"] else None,
    )


def _allocations(kept: list[dict[str, Any]]) -> tuple[Allocation, ...]:
    return tuple(Allocation.model_validate(each, extra="ignore") for each in kept)


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()


def _length(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
