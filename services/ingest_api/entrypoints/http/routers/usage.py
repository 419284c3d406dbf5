"""Usage: reporting it and reading it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from schemas.tenant import Meter
from schemas.usage import MAX_SAMPLES
from services.ingest_api.domain.usage_input import BATCH, MEDIA_TYPES, PLAIN, SAMPLE_TYPE, SINGLE, by_source, read_usage
from services.ingest_api.entrypoints.http.callers import Reporter, UsageReader
from services.ingest_api.entrypoints.http.desk import desk_of
from services.ingest_api.usecases.usage import Receipt, UsageTotals, totals

router = APIRouter(prefix="/usage", tags=["usage"])

_AMOUNTS = {"input_tokens": 812, "output_tokens": 164, "api_calls": 1}
_SAMPLE = {"id": "req-1", "time": "2026-03-01T12:00:00Z", "amounts": _AMOUNTS}
_EVENT = {
    "specversion": "1.0",
    "type": SAMPLE_TYPE,
    "source": "/gateway/eu-1",
    "id": "req-1",
    "time": "2026-03-01T12:00:00Z",
    "data": {"amounts": _AMOUNTS},
}
_EXAMPLES: dict[str, Any] = {
    PLAIN: {"source": "/gateway/eu-1", "samples": [_SAMPLE]},
    SINGLE: _EVENT,
    BATCH: [_EVENT],
}
_BODY = {
    "required": True,
    "description": f"1 to {MAX_SAMPLES} samples. A sample is its source and id: the same twice counts once.",
    "content": {media_type: {"schema": {}, "example": _EXAMPLES[media_type]} for media_type in MEDIA_TYPES},
}


@router.post("", status_code=202, summary="Report usage", openapi_extra={"requestBody": _BODY})
async def report(request: Request, caller: Reporter) -> Receipt:
    """Answers when the samples are safe in the log. Needs no Idempotency-Key: samples have ids of their own."""
    desk = desk_of(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    entries = read_usage(media_type, await request.body(), caller.tenant_id, caller.now)
    return await desk.usage.report(caller, by_source(entries), len(entries))


@router.get("", summary="Read usage")
async def read(
    request: Request,
    caller: UsageReader,
    first: Annotated[date | None, Query(alias="from", description="First day, UTC; today by default.")] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day, UTC; today by default.")] = None,
    meter: Annotated[Meter | None, Query(description="Only this meter.")] = None,
) -> UsageTotals:
    """Totals per meter and day, and the samples that came more than once."""
    today = caller.now.date()
    last = last or today
    return await totals(desk_of(request).ledger, str(caller.tenant_id), first or last, last, meter)
