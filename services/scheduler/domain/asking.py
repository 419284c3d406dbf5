"""What an input asks for."""

from __future__ import annotations

from datetime import timedelta

from schemas.deployment import DeploymentRequested
from schemas.placement import ReserveCapacity
from services.scheduler.domain.errors import UnexpectedInputError
from services.scheduler.domain.model import Input, Request
from services.scheduler.domain.pool.snapshot import Snapshot


def request_of(snapshot: Snapshot, entry: Input) -> Request:
    """What the input asks for, as the arrival that was just counted. Raises `UnexpectedInputError`."""
    data = entry.data
    if isinstance(data, DeploymentRequested):
        return _first_stage(data, snapshot, entry)
    if not isinstance(data, ReserveCapacity):
        raise UnexpectedInputError(data.type)
    return Request(
        reservation_id=data.reservation_id,
        deployment_id=data.deployment_id,
        tenant_id=entry.tenant_id,
        revision=data.revision,
        stage=data.stage,
        replicas=data.replicas,
        resources=data.resources,
        pool=data.pool,
        priority=data.priority,
        arrival=snapshot.applied,
        asked_at=snapshot.now,
        cause=entry.cause,
        preemptible=data.preemptible,
        is_surge=data.is_surge,
        is_elastic=data.is_elastic,
        start_within=_seconds(data.start_within_seconds),
        expected=_seconds(data.expected_seconds),
    )


def _first_stage(data: DeploymentRequested, snapshot: Snapshot, entry: Input) -> Request:
    """A revision after the first is a surge beside the one that it will replace. The minimum of a deployment that may
    grow is not preemptible: what is beyond it is drained instead."""
    spec = data.spec
    return Request(
        reservation_id=data.reservation_id,
        deployment_id=data.deployment_id,
        tenant_id=entry.tenant_id,
        revision=data.revision,
        stage=0,
        replicas=data.first_stage_replicas,
        resources=spec.resources,
        pool=spec.pool,
        priority=spec.priority,
        arrival=snapshot.applied,
        asked_at=snapshot.now,
        cause=entry.cause,
        preemptible=spec.preemptible and spec.max_replicas is None,
        is_surge=data.revision > 1,
        start_within=_seconds(spec.start_within_seconds),
        expected=_seconds(spec.expected_seconds),
    )


def _seconds(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(seconds=number)
