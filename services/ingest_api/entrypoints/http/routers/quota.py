"""Quota: what is left, and holds for gateways, who ask before they serve."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from schemas.base import ContractModel
from schemas.tenant import Meter, Plan
from schemas.usage import Amount, SampleTime
from services.ingest_api.domain.usage_input import check_tenant
from services.ingest_api.entrypoints.http.callers import Reporter, UsageReader
from services.ingest_api.entrypoints.http.desk import Desk, desk_of
from services.ingest_api.usecases import tenants
from services.ingest_api.usecases.caller import Caller
from services.ingest_api.usecases.quota import Hold, LimitState
from services.ingest_api.usecases.usage import Receipt

router = APIRouter(prefix="/quota", tags=["quota"])

HOLD_ID = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,89}$"
HoldId = Annotated[str, Path(pattern=HOLD_ID, description="The caller's own id of the hold.")]
Amounts = Annotated[dict[Meter, Amount], Field(min_length=1)]


class QuotaState(ContractModel):
    """The plan's limits and what is used of them."""

    plan: Plan
    limits: tuple[LimitState, ...]
    """Meters without a limit are left out."""


class NewHold(ContractModel):
    """Quota to set aside."""

    hold_id: Annotated[str, Field(pattern=HOLD_ID)]
    """The caller's own id: the same call again gives the same answer."""
    amounts: Amounts
    """The most that the request may use, meter by meter."""
    ttl_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """When it is given back by itself."""
    tenant_id: str | None = None
    """The credential's own, or left out."""


class Commit(ContractModel):
    """What was really used."""

    amounts: Amounts
    """A meter that is left out is given back."""
    time: SampleTime | None = None
    """When; from 2020 on and not in the future. Now by default."""


async def _plan(desk: Desk, caller: Caller) -> Plan:
    async with desk.transactions.tenant(caller.tenant_id) as stores:
        return (await tenants.find(stores)).plan


@router.get("", summary="What is left")
async def state(request: Request, caller: UsageReader) -> QuotaState:
    """Every limit with what is settled and held."""
    desk = desk_of(request)
    plan = await _plan(desk, caller)
    return QuotaState(plan=plan, limits=await desk.quota.state(caller, plan))


@router.post("/holds", status_code=201, summary="Hold quota")
async def hold(request: Request, body: NewHold, caller: Reporter) -> Hold:
    """All amounts, or none: 403 `quota-exceeded` says which limit, with numbers. `hold_id` makes it safe to repeat."""
    desk = desk_of(request)
    check_tenant(body.tenant_id, "/tenant_id", caller.tenant_id)
    return await desk.quota.hold(caller, await _plan(desk, caller), body.hold_id, body.amounts, body.ttl_seconds)


@router.post("/holds/{hold_id}/commit", summary="Commit a hold")
async def commit(request: Request, hold_id: HoldId, body: Commit, caller: Reporter) -> Receipt:
    """Records what was used as a sample, then ends the hold at that; again changes nothing."""
    return await desk_of(request).quota.commit(caller, hold_id, body.amounts, body.time or caller.now)


@router.delete("/holds/{hold_id}", status_code=204, summary="Release a hold")
async def release(request: Request, hold_id: HoldId, caller: Reporter) -> Response:
    """Gives it back; one that was committed stays."""
    await desk_of(request).quota.release(caller, hold_id)
    return Response(status_code=204)
