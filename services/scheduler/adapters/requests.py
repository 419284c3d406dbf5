"""A request as JSON, and back. Fields that a release before it did not write have their defaults."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row as SqlRow

from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Cause, Claim, Request, Reservation, Victim, Waiting
from services.scheduler.domain.shape import Shape, shape_of


def request_json(request: Request) -> str:
    """What table `reservations` keeps of the request beside its own columns."""
    return json.dumps(
        {
            "revision": request.revision,
            "stage": request.stage,
            "replicas": request.replicas,
            "resources": request.resources.model_dump(mode="json"),
            "priority": request.priority,
            "asked_at": request.asked_at.isoformat(),
            "cause": asdict(request.cause),
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
        cause=Cause(**kept["cause"]),
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


def pods_from(row: SqlRow[Any]) -> tuple[Shape, int]:
    """The shape that a request asked for, and how many pods of it."""
    resources = Resources.model_validate_json(row.resources, extra="ignore")
    return shape_of(resources), row.replicas * resources.workers


def allocations_json(allocations: tuple[Allocation, ...]) -> str:
    """Places as JSON."""
    return json.dumps([allocation.model_dump() for allocation in allocations])


def claim_json(claim: Claim) -> str:
    """What table `claims` keeps."""
    return json.dumps(
        {
            "resources": claim.resources.model_dump(mode="json"),
            "allocations": [allocation.model_dump() for allocation in claim.allocations],
            "victims": [[str(victim.reservation_id), list(victim.replicas)] for victim in claim.victims],
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
