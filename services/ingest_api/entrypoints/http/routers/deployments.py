"""Deployments: asking for them, changing and deleting them. What became of them is in `deployment_views`."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field, model_validator

from schemas.base import ContractModel, Name, Reason
from schemas.deployment import MAX_REPLICAS, Canary, Gates
from services.ingest_api.domain.admission import Admitted, Verb
from services.ingest_api.domain.problems import not_found
from services.ingest_api.domain.read import Shown
from services.ingest_api.entrypoints.http.asked import AskedDeployment
from services.ingest_api.entrypoints.http.callers import Deployer
from services.ingest_api.entrypoints.http.writes import Once, Reply
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import deployments

router = APIRouter(prefix="/deployments", tags=["deployments"])


class Change(ContractModel):
    """What a new revision changes; everything else stays as it runs."""

    version: Name | None = None
    """Another registered version of the model."""
    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """Replicas at full strength."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """Most replicas it may grow to while there is room; null = it does not grow beyond `replicas`."""
    canary: Canary | None = None
    """How traffic moves."""
    gates: Gates | None = None
    """When a stage is good enough."""

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one of version, replicas, max_replicas, canary, gates")
        return self

    def changes(self) -> dict[str, Any]:
        """The fields that change, and what to. Only `max_replicas` can be taken away."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: value for name, value in given.items() if value is not None or name == "max_replicas"}


async def accepted(stores: Stores, deployment_id: UUID) -> Reply:
    """202: the deployment as it stands now, and where to see what becomes of it."""
    shown = await stores.views.show(deployment_id)
    if shown is None:
        raise not_found("deployment")
    return Reply(202, shown, f"/api/v1/deployments/{deployment_id}")


async def _admitted(stores: Stores, admitted: Admitted) -> Reply:
    return await accepted(stores, admitted.event.deployment_id)


@router.post("", status_code=202, response_model=Shown, summary="Deploy a model")
async def create(asked: AskedDeployment, caller: Deployer, once: Once) -> Response:
    """A new deployment: its first revision takes all traffic once its GPUs are reserved and its pods are ready."""

    async def act(stores: Stores) -> Reply:
        admitted = await deployments.request_or_raise(stores, caller, Verb.CREATE, asked.spec, once.desk.ids)
        return await _admitted(stores, admitted)

    return await once.for_tenant(caller, act)


@router.patch("/{deployment_id}", status_code=202, response_model=Shown, summary="Change a deployment")
async def change(deployment_id: UUID, body: Change, caller: Deployer, once: Once) -> Response:
    """A new revision, rolled out stage by stage."""

    async def act(stores: Stores) -> Reply:
        admitted = await deployments.change(stores, caller, deployment_id, once.desk.ids, body.changes())
        return await _admitted(stores, admitted)

    return await once.for_tenant(caller, act)


@router.delete("/{deployment_id}", status_code=202, response_model=Shown, summary="Delete a deployment")
async def delete(
    deployment_id: UUID,
    caller: Deployer,
    once: Once,
    reason: Annotated[Reason, Query(description="Why, for the history.")] = "no reason given",
) -> Response:
    """Traffic goes away, pods end, GPUs are released; then the name is free again."""

    async def act(stores: Stores) -> Reply:
        await deployments.cancel(stores, caller, deployment_id, reason)
        return await accepted(stores, deployment_id)

    return await once.for_tenant(caller, act)
