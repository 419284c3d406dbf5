"""What operators look at: capacity and lag."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from schemas.base import ContractModel
from services.ingest_api.domain.read import NodeCapacity
from services.ingest_api.entrypoints.http.callers import Operator
from services.ingest_api.entrypoints.http.desk import desk_of
from services.kit.errors import TransientError

router = APIRouter(tags=["platform"])


class Capacity(ContractModel):
    """The GPUs of the platform."""

    gpu_total_milli: int
    gpu_used_milli: int
    """Reserved by all tenants together."""
    nodes: tuple[NodeCapacity, ...]


class GroupLag(ContractModel):
    """How far one group is behind on one partition."""

    topic: str
    partition: int
    group: str
    committed: int | None
    """Offset that the group reads next; null when it has committed nothing."""
    end: int
    """Offset that the next record will get."""
    offsets_behind: int
    oldest_seconds: float
    """Age of the oldest record that is not committed; 0 when there is none."""
    age_at_commit_seconds: float | None
    """How long the first event of the last committed batch had waited then; null when the consumer does not say."""


class Lag(ContractModel):
    """How far the consumer groups are behind."""

    measured_at: AwareDatetime
    lags: tuple[GroupLag, ...]
    dead_letters: dict[str, int]
    """Records in each dead-letter topic that were not sent back."""


@router.get("/capacity", summary="GPUs, total and used")
async def capacity(
    request: Request, _: Operator, pool: Annotated[str | None, Query(description="Only this pool.")] = None
) -> Capacity:
    """As the scheduler's and the nodes' events say."""
    async with desk_of(request).transactions.platform(None) as stores:
        nodes = await stores.capacity.nodes(pool)
    return Capacity(
        gpu_total_milli=sum(node.gpu_total_milli for node in nodes),
        gpu_used_milli=sum(node.gpu_used_milli for node in nodes),
        nodes=tuple(nodes),
    )


@router.get("/lag", summary="How far consumers are behind")
async def lag(request: Request, _: Operator) -> Lag:
    """Exact, also for a group whose consumer is down."""
    snapshot = desk_of(request).lag.snapshot()
    if snapshot is None:
        raise TransientError("the lag is not measured yet", retry_after=5)
    return Lag.model_validate(snapshot, from_attributes=True)
