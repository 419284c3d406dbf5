"""Models and their versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from schemas.base import ContractModel, Name
from schemas.text import Text
from services.ingest_api.domain.resources import Model, ModelVersion
from services.ingest_api.entrypoints.http.callers import Deployer, Reader
from services.ingest_api.entrypoints.http.desk import desk_of
from services.ingest_api.entrypoints.http.pages import Listing, Paged, listing
from services.ingest_api.entrypoints.http.writes import Once, Reply
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import models

router = APIRouter(prefix="/models", tags=["models"])


class NewModel(ContractModel):
    """A model to register."""

    name: Name
    """Unique within the tenant."""
    description: Annotated[str, Text(2000, may_break=True)] = ""
    """For people."""


class NewVersion(ContractModel):
    """A version to register."""

    version: Name
    """Unique within the model."""
    artifact: Annotated[str, Text(2000)] = ""
    """Where its files are, such as `s3://models/chat/2.1`."""
    size_mib: Annotated[int, Field(ge=0, le=10**9)] = 0
    """Size of its files in MiB."""


@router.post("", status_code=201, response_model=Model, summary="Register a model")
async def register(body: NewModel, caller: Deployer, once: Once) -> Response:
    """Within the plan's number of models."""

    async def act(stores: Stores) -> Reply:
        model = await models.register(stores, caller, body.name, body.description)
        return Reply(201, model, f"/api/v1/models/{model.name}")

    return await once.for_tenant(caller, act)


@router.get("", summary="List models")
async def list_models(request: Request, page: Paged, caller: Reader) -> Listing[Model]:
    """By name."""
    async with desk_of(request).transactions.tenant(caller.tenant_id) as stores:
        items = await stores.models.page(page)
    return listing(request, page, items, lambda model: model.name)


@router.get("/{name}", summary="Show a model")
async def show(request: Request, name: str, caller: Reader) -> Model:
    """One of the tenant's models."""
    async with desk_of(request).transactions.tenant(caller.tenant_id) as stores:
        return await models.find(stores, name)


@router.post("/{name}/archive", response_model=Model, summary="Archive a model")
async def archive(name: str, caller: Deployer, once: Once) -> Response:
    """It cannot be deployed any more; what runs goes on."""

    async def act(stores: Stores) -> Reply:
        return Reply(200, await models.archive(stores, caller, name))

    return await once.for_tenant(caller, act)


@router.post("/{name}/versions", status_code=201, response_model=ModelVersion, summary="Register a version")
async def register_version(name: str, body: NewVersion, caller: Deployer, once: Once) -> Response:
    """A version that deployments can name."""

    async def act(stores: Stores) -> Reply:
        await models.find(stores, name)
        version = ModelVersion(
            model=name,
            version=body.version,
            artifact=body.artifact,
            size_mib=body.size_mib,
            created_at=caller.now,
        )
        return Reply(201, await models.register_version(stores, version))

    return await once.for_tenant(caller, act)


@router.get("/{name}/versions", summary="List versions")
async def list_versions(request: Request, name: str, page: Paged, caller: Reader) -> Listing[ModelVersion]:
    """Of one model, by version."""
    async with desk_of(request).transactions.tenant(caller.tenant_id) as stores:
        await models.find(stores, name)
        items = await stores.models.versions(name, page)
    return listing(request, page, items, lambda version: version.version)
