"""The GPUs: how many there are, who holds which, who waits for some, and what to add."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from schemas.base import ContractModel
from services.ingest_api.domain.gpu_map import GpuMap
from services.ingest_api.domain.read import NodeCapacity
from services.ingest_api.domain.waiting_list import Hints, Queue, hints_of
from services.ingest_api.entrypoints.http.callers import CapacityReader, Operator
from services.ingest_api.entrypoints.http.desk import desk_of
from services.ingest_api.usecases import capacity as capacities

router = APIRouter(prefix="/capacity", tags=["capacity"])

Pool = Annotated[str | None, Query(max_length=63, description="Only this pool.")]
Named = Annotated[str | None, Query(max_length=253, description="Only this node.")]
Model = Annotated[str | None, Query(max_length=253, description="Only nodes with this model of GPU.")]


class Capacity(ContractModel):
    """The GPUs of the platform."""

    gpu_total_milli: int
    gpu_used_milli: int
    """Reserved by all tenants together."""
    nodes: tuple[NodeCapacity, ...]


class Queues(ContractModel):
    """Who waits, pool by pool."""

    queues: tuple[Queue, ...]


class AllHints(ContractModel):
    """What to add, pool by pool."""

    pools: tuple[Hints, ...]


@router.get("", summary="GPUs, total and used")
async def capacity(request: Request, _: Operator, pool: Pool = None) -> Capacity:
    """As the scheduler's and the nodes' events say."""
    async with desk_of(request).transactions.platform(None) as stores:
        nodes = await stores.capacity.nodes(pool)
    return Capacity(
        gpu_total_milli=sum(node.gpu_total_milli for node in nodes),
        gpu_used_milli=sum(node.gpu_used_milli for node in nodes),
        nodes=tuple(nodes),
    )


@router.get("/map", response_model=GpuMap, summary="Who holds which GPU")
async def show_map(
    request: Request, caller: CapacityReader, pool: Pool = None, node: Named = None, gpu_model: Model = None
) -> Response:
    """Nodes × devices. Operators see every holder; a tenant its own, and how much of each device others hold."""
    found = await capacities.map_of(caller, desk_of(request).transactions, pool, node, gpu_model)
    return Response(found.model_dump_json(), media_type="application/json")  # thousands of devices: written once


@router.get("/queue", summary="Who waits for GPUs, and why")
async def queue(request: Request, caller: CapacityReader, pool: Pool = None) -> Queues:
    """As of the pool's last report. Operators see all who wait; a tenant its own, at their places among all."""
    return Queues(queues=tuple(await capacities.queues(caller, desk_of(request).transactions, pool)))


@router.get("/hints", summary="What to add so that the head of the queue starts")
async def hints(request: Request, _: Operator, pool: Pool = None) -> AllHints:
    """For people and for programs that add nodes."""
    async with desk_of(request).transactions.platform(None) as stores:
        reports = await stores.queues.reports(pool)
    return AllHints(pools=tuple(hints_of(report) for report in reports))
