"""The rollout of a deployment: how far it is, and what people tell it."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from schemas.base import ContractModel, GivenReason
from schemas.rollout import AbortRollout, PauseRollout, PromoteRollout, ResumeRollout, RolloutCommand
from services.ingest_api.domain.read import AsOf, Shown
from services.ingest_api.domain.view import Rollout, State, Waiting
from services.ingest_api.entrypoints.http.callers import Deployer, Reader
from services.ingest_api.entrypoints.http.desk import desk_of
from services.ingest_api.entrypoints.http.routers.deployment_views import look
from services.ingest_api.entrypoints.http.routers.deployments import accepted
from services.ingest_api.entrypoints.http.writes import Once, Reply, Write
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import deployments
from services.ingest_api.usecases.caller import Caller

router = APIRouter(prefix="/deployments/{deployment_id}/rollout", tags=["rollouts"])


class Why(ContractModel):
    """Why, in the words of who asks."""

    reason: GivenReason
    """For the history."""


class Promotion(Why):
    """How far to promote, and why."""

    full: bool = False
    """Skip all remaining stages and analyses."""


class RolloutView(ContractModel):
    """The newest rollout."""

    state: State
    rollout: Rollout | None
    """None before the deployer has taken the first revision up."""
    waiting: Waiting | None
    stable_revision: int | None
    stable_version: str | None
    as_of: AsOf


@router.get("", summary="Show the rollout")
async def show(request: Request, deployment_id: UUID, caller: Reader) -> RolloutView:
    """Stage, weight as it was read back, verdict, and what it waits for."""
    item = await look(desk_of(request), caller, deployment_id)
    return RolloutView(
        state=item.state,
        rollout=item.rollout,
        waiting=item.waiting,
        stable_revision=item.stable_revision,
        stable_version=item.stable_version,
        as_of=item.as_of,
    )


async def _tell(once: Write, caller: Caller, command: RolloutCommand) -> Response:
    async def act(stores: Stores) -> Reply:
        await deployments.command(stores, caller, command)
        return await accepted(stores, command.deployment_id)

    return await once.for_tenant(caller, act)


@router.post("/pause", status_code=202, response_model=Shown, summary="Pause")
async def pause(deployment_id: UUID, body: Why, caller: Deployer, once: Once) -> Response:
    """Stay at the present stage until resumed."""
    return await _tell(once, caller, PauseRollout(deployment_id=deployment_id, reason=body.reason))


@router.post("/resume", status_code=202, response_model=Shown, summary="Resume")
async def resume(deployment_id: UUID, body: Why, caller: Deployer, once: Once) -> Response:
    """Go on after a pause."""
    return await _tell(once, caller, ResumeRollout(deployment_id=deployment_id, reason=body.reason))


@router.post("/promote", status_code=202, response_model=Shown, summary="Promote")
async def promote(deployment_id: UUID, body: Promotion, caller: Deployer, once: Once) -> Response:
    """End the present stage now; with `full`, skip all that remain."""
    command = PromoteRollout(deployment_id=deployment_id, reason=body.reason, full=body.full)
    return await _tell(once, caller, command)


@router.post("/abort", status_code=202, response_model=Shown, summary="Abort")
async def abort(deployment_id: UUID, body: Why, caller: Deployer, once: Once) -> Response:
    """Give up: traffic back to stable, the new version away."""
    return await _tell(once, caller, AbortRollout(deployment_id=deployment_id, reason=body.reason))
