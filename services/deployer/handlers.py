"""One function per message. Handlers run in any copy and only record; the owner's loop does the work.

Message                              recorded as
DeploymentRequested                  a requested revision
DeploymentCancelled, Pause/Resume/…  a command
Capacity…, Preemption…               what is known of a reservation
TenantSuspended, TenantResumed       whether the tenant may start anything
"""

from __future__ import annotations

from uuid import UUID

from loguru import logger

from schemas.deployment import DeploymentCancelled, DeploymentRequested
from schemas.envelope import Event
from schemas.placement import (
    CapacityLost,
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    PlacementEvent,
    PreemptionRequested,
    PreemptionWithdrawn,
)
from schemas.rollout import AbortRollout, PauseRollout, PromoteRollout, ResumeRollout, RolloutCommand
from schemas.tenant import TenantResumed, TenantSuspended
from services.deployer.domain.observation import CommandKind, Request
from services.deployer.ports import Intake
from services.kit.errors import PermanentError
from services.kit.messaging.dispatch import HandlerTable
from services.kit.messaging.origin import Origin
from services.kit.observability import metrics
from services.kit.persistence.unit_of_work import UnitOfWork


class Handlers:
    """The handlers, over one intake."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def request_revision(self, event: Event[DeploymentRequested], work: UnitOfWork) -> None:
        """A new revision of a deployment is to run."""
        data = event.data
        request = Request(data.revision, data.spec, data.reservation_id, data.first_stage_replicas)
        tenant_of(event)
        await self._intake.request(work, data.deployment_id, request, Origin.of(event))

    async def cancel_deployment(self, event: Event[DeploymentCancelled], work: UnitOfWork) -> None:
        """The deployment is to go."""
        await self._record(event, work, event.data.deployment_id, CommandKind.CANCEL, event.data.reason)

    async def command_rollout(self, event: Event[RolloutCommand], work: UnitOfWork) -> None:
        """A person or a program asks something of a rollout."""
        await self._record(event, work, event.data.deployment_id, command_kind(event.data), event.data.reason)

    async def note_answer(self, event: Event[PlacementEvent], work: UnitOfWork) -> None:
        """The scheduler decided something about a reservation."""
        await self._intake.answer(work, event.data, tenant_of(event))

    async def suspend_tenant(self, event: Event[TenantSuspended], work: UnitOfWork) -> None:
        """The tenant may start nothing new: what is on its way is given up, what is stable stays."""
        await self._intake.suspend(work, event.data)

    async def resume_tenant(self, event: Event[TenantResumed], work: UnitOfWork) -> None:
        """The suspension ended."""
        await self._intake.resume(work, event.data.tenant_id)

    async def _record(
        self,
        event: Event[DeploymentCancelled] | Event[RolloutCommand],
        work: UnitOfWork,
        deployment_id: UUID,
        kind: CommandKind,
        reason: str,
    ) -> None:
        tenant_of(event)
        if not await self._intake.command(work, deployment_id, kind, reason, Origin.of(event)):
            metrics.COMMANDS_DROPPED.labels(kind.value).inc()
            logger.warning("{} of deployment {} dropped: no such deployment of this tenant", kind, deployment_id)


def command_kind(data: RolloutCommand) -> CommandKind:
    """What the command asks."""
    if isinstance(data, PromoteRollout):
        return CommandKind.PROMOTE_FULL if data.full else CommandKind.PROMOTE
    kinds: dict[type[RolloutCommand], CommandKind] = {
        PauseRollout: CommandKind.PAUSE,
        ResumeRollout: CommandKind.RESUME,
        AbortRollout: CommandKind.ABORT,
    }
    return kinds[type(data)]


def tenant_of(
    event: Event[DeploymentRequested] | Event[DeploymentCancelled] | Event[RolloutCommand] | Event[PlacementEvent],
) -> UUID:
    """The tenant that the event is about; raises `PermanentError` when it names none."""
    if event.tenantid is None:
        raise PermanentError(f"{event.type} names no tenant")
    return UUID(event.tenantid)


def handler_table(intake: Intake) -> HandlerTable:
    """Message type to handler."""
    handlers = Handlers(intake)
    return {
        DeploymentRequested: handlers.request_revision,
        DeploymentCancelled: handlers.cancel_deployment,
        PauseRollout: handlers.command_rollout,
        ResumeRollout: handlers.command_rollout,
        PromoteRollout: handlers.command_rollout,
        AbortRollout: handlers.command_rollout,
        CapacityQueued: handlers.note_answer,
        CapacityReserved: handlers.note_answer,
        CapacityRejected: handlers.note_answer,
        CapacityReleased: handlers.note_answer,
        CapacityLost: handlers.note_answer,
        PreemptionRequested: handlers.note_answer,
        PreemptionWithdrawn: handlers.note_answer,
        TenantSuspended: handlers.suspend_tenant,
        TenantResumed: handlers.resume_tenant,
    }
