"""Records what arrives, in the handler's transaction, and rings for the owner."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import text

from schemas.placement import PlacementEvent
from schemas.tenant import TenantSuspended
from services.deployer.adapters.answers import answer_of, columns_of
from services.deployer.domain.answers import heard
from services.deployer.domain.model import Rollout
from services.deployer.domain.observation import CommandKind, Request
from services.kit.errors import PermanentError
from services.kit.messaging.origin import Origin
from services.kit.persistence.unit_of_work import UnitOfWork
from services.kit.persistence.wakeup import notify

CHANNEL = "deployer_rollouts"
"""NOTIFY channel that says: something was recorded."""

INSERT_REVISION = text(
    """
    INSERT INTO revision (tenant_id, deployment_id, revision, spec, reservation_id, first_stage_replicas, origin)
    VALUES (:tenant, :deployment, :revision, CAST(:spec AS jsonb), :reservation, :replicas, CAST(:origin AS jsonb))
    ON CONFLICT DO NOTHING
    """
)
SIGNAL_NEW = text(
    """
    INSERT INTO rollout AS r (tenant_id, deployment_id, hash, state, signals)
    VALUES (:tenant, :deployment, :hash, CAST(:state AS jsonb), 1)
    ON CONFLICT (tenant_id, deployment_id) DO UPDATE SET signals = r.signals + 1
    """
)
SIGNAL = text(
    "UPDATE rollout SET signals = signals + 1 WHERE tenant_id = :tenant AND deployment_id = :deployment RETURNING 1"
)
SIGNAL_TENANT = text("UPDATE rollout SET signals = signals + 1 WHERE tenant_id = :tenant")
INSERT_COMMAND = text(
    """
    INSERT INTO command (tenant_id, deployment_id, kind, reason, origin)
    VALUES (:tenant, :deployment, :kind, :reason, CAST(:origin AS jsonb))
    """
)
UPSERT_ANSWER = text(
    """
    INSERT INTO answer (tenant_id, reservation_id, deployment_id, kind, reason, allocations, preemptions)
    VALUES (:tenant, :reservation, :deployment, :kind, :reason, CAST(:allocations AS jsonb),
       CAST(:preemptions AS jsonb))
    ON CONFLICT (tenant_id, reservation_id) DO UPDATE
       SET kind = excluded.kind, reason = excluded.reason, allocations = excluded.allocations,
           preemptions = excluded.preemptions
    """
)
ANSWER = text(
    """
    SELECT kind, reason, allocations::text AS allocations, preemptions::text AS preemptions FROM answer
    WHERE tenant_id = :tenant AND reservation_id = :reservation FOR UPDATE
    """
)
SUSPEND = text(
    "INSERT INTO suspension (tenant_id, reason) VALUES (:tenant, :reason) "
    "ON CONFLICT (tenant_id) DO UPDATE SET reason = excluded.reason"
)
RESUME = text("DELETE FROM suspension WHERE tenant_id = :tenant")


def hash_of(deployment_id: UUID) -> int:
    """What shards are computed from: stable over processes and releases; taken modulo the number of shards."""
    return zlib.crc32(deployment_id.bytes)


class PostgresIntake:
    """`Intake` on the deployer's tables."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    async def request(self, work: UnitOfWork, deployment_id: UUID, request: Request, origin: Origin) -> None:
        """See `Intake.request`."""
        tenant = _tenant(origin)
        await work.connection.execute(
            INSERT_REVISION,
            {
                "tenant": tenant,
                "deployment": deployment_id,
                "revision": request.revision,
                "spec": request.spec.model_dump_json(),
                "reservation": request.reservation_id,
                "replicas": request.first_stage_replicas,
                "origin": origin.to_json(),
            },
        )
        fresh = Rollout.fresh(deployment_id, tenant)
        values = {"tenant": tenant, "deployment": deployment_id, "hash": hash_of(deployment_id)}
        await work.connection.execute(SIGNAL_NEW, {**values, "state": fresh.model_dump_json()})
        await self._wake(work)

    async def command(
        self, work: UnitOfWork, deployment_id: UUID, kind: CommandKind, reason: str, origin: Origin
    ) -> bool:
        """See `Intake.command`."""
        place = {"tenant": _tenant(origin), "deployment": deployment_id}
        if (await work.connection.execute(SIGNAL, place)).first() is None:
            return False
        values = {**place, "kind": kind.value, "reason": reason, "origin": origin.to_json()}
        await work.connection.execute(INSERT_COMMAND, values)
        await self._wake(work)
        return True

    async def answer(self, work: UnitOfWork, event: PlacementEvent, tenant_id: UUID) -> None:
        """See `Intake.answer`. Events of one deployment come in order, by one consumer at a time."""
        place = {"tenant": tenant_id, "deployment": event.deployment_id}
        identity = {**place, "reservation": event.reservation_id}
        row = (await work.connection.execute(ANSWER, identity)).mappings().first()
        after = heard(answer_of(row) if row else None, event)
        await work.connection.execute(UPSERT_ANSWER, {**identity, **columns_of(after)})
        await work.connection.execute(SIGNAL, place)
        await self._wake(work)

    async def suspend(self, work: UnitOfWork, tenant: TenantSuspended) -> None:
        """See `Intake.suspend`."""
        await work.connection.execute(SUSPEND, {"tenant": tenant.tenant_id, "reason": tenant.reason})
        await self._signal_tenant(work, tenant.tenant_id)

    async def resume(self, work: UnitOfWork, tenant_id: UUID) -> None:
        """See `Intake.resume`."""
        await work.connection.execute(RESUME, {"tenant": tenant_id})
        await self._signal_tenant(work, tenant_id)

    async def _signal_tenant(self, work: UnitOfWork, tenant_id: UUID) -> None:
        await work.connection.execute(SIGNAL_TENANT, {"tenant": tenant_id})
        await self._wake(work)

    async def _wake(self, work: UnitOfWork) -> None:
        await notify(work, CHANNEL)
        work.after_commit(self._ring)


def _tenant(origin: Origin) -> UUID:
    if origin.tenant_id is None:
        raise PermanentError("a message about a deployment names no tenant")
    return origin.tenant_id
