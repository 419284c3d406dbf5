"""What became of deployments: the read model, which says how fresh it is."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from schemas.base import ContractModel
from schemas.phrases import because
from services.ingest_api.domain.durations import seconds_of
from services.ingest_api.domain.problems import not_found
from services.ingest_api.domain.read import AsOf, HistoryEntry, Shown
from services.ingest_api.domain.reservation import Reservation, words_of
from services.ingest_api.domain.view import Refusal, State
from services.ingest_api.entrypoints.http.callers import Reader
from services.ingest_api.entrypoints.http.desk import Desk, desk_of
from services.ingest_api.entrypoints.http.following import follow
from services.ingest_api.entrypoints.http.pages import Listing, Paged, listing
from services.ingest_api.usecases.caller import Caller

router = APIRouter(prefix="/deployments", tags=["deployments"])

MAX_WAIT_SECONDS = 60.0


class Explained(Reservation):
    """A reservation, and all of it in words."""

    words: str


class Placement(ContractModel):
    """The GPUs that a deployment holds or waits for, and why."""

    words: str
    """All of it, as sentences."""
    reservations: tuple[Explained, ...]
    refusal: Refusal | None
    """Why GPUs were refused to the newest revision."""
    as_of: AsOf


@router.get("", summary="List deployments")
async def list_deployments(
    request: Request,
    page: Paged,
    caller: Reader,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    model: Annotated[str | None, Query(max_length=63, description="Only those of this model.")] = None,
) -> Listing[Shown]:
    """Newest first."""
    async with desk_of(request).transactions.tenant(caller.tenant_id) as stores:
        items = await stores.views.page(page, state, model)
    return listing(request, page, items, lambda item: str(item.deployment_id))


async def look(desk: Desk, caller: Caller, deployment_id: UUID) -> Shown:
    """The deployment as it stands; raises `Problem`."""
    async with desk.transactions.tenant(caller.tenant_id) as stores:
        found = await stores.views.show(deployment_id)
    if found is None:
        raise not_found("deployment")
    return found


def etag_of(item: Shown) -> str:
    """Changes whenever what is shown may have."""
    return f'"{item.as_of.position or "requested"} {item.revision} {item.state}"'


@router.get("/{deployment_id}", summary="Show a deployment")
async def show(
    request: Request,
    response: Response,
    deployment_id: UUID,
    caller: Reader,
    wait: Annotated[str, Query(description="Wait this long for a change, such as 10s; at most 60s.")] = "0s",
    if_none_match: Annotated[str | None, Header(description="ETag of what you have seen; wait for another.")] = None,
) -> Shown:
    """With `wait`, answers at the first change, or when the time is over. Without an ETag, a change is one from now."""
    desk = desk_of(request)
    deadline = desk.clock.now().timestamp() + min(seconds_of(wait, "wait"), MAX_WAIT_SECONDS)
    seen = if_none_match
    while True:
        ring = desk.bell.listen(deployment_id)
        item = await look(desk, caller, deployment_id)
        seen = seen or etag_of(item)
        left = deadline - desk.clock.now().timestamp()
        if etag_of(item) != seen or left <= 0 or desk.bell.is_closed:
            response.headers["ETag"] = etag_of(item)
            return item
        await desk.bell.wait(ring, left)


@router.get("/{deployment_id}/placement", summary="Show its GPUs")
async def placement(request: Request, deployment_id: UUID, caller: Reader) -> Placement:
    """Which devices of which nodes, why there and not elsewhere, by which decision; or what it waits for, and what it
    lost or is asked to give back."""
    desk = desk_of(request)
    item = await look(desk, caller, deployment_id)
    async with desk.transactions.tenant(caller.tenant_id) as stores:
        found = await stores.reservations.of_deployment(deployment_id)
    reservations = tuple(Explained(**dict(each), words=words_of(each)) for each in found)
    return Placement(
        words=_in_words(item, reservations), reservations=reservations, refusal=item.refusal, as_of=item.as_of
    )


def _in_words(item: Shown, reservations: tuple[Explained, ...]) -> str:
    refused = f"GPUs were refused ({item.refusal.code}){because(item.refusal.detail)}" if item.refusal else ""
    said = [each.words for each in reservations] + [refused] * bool(refused)
    return " ".join(said) or f"{item.name} is {item.state}: it holds no GPUs and waits for none."


@router.get("/{deployment_id}/history", summary="Everything that happened to it")
async def history(request: Request, deployment_id: UUID, page: Paged, caller: Reader) -> Listing[HistoryEntry]:
    """Every event, in words, with its place in the log; oldest first."""
    desk = desk_of(request)
    await look(desk, caller, deployment_id)
    async with desk.transactions.tenant(caller.tenant_id) as stores:
        items = await stores.views.history(deployment_id, page)
    return listing(request, page, items, lambda entry: entry.sort_key)


@router.get(
    "/{deployment_id}/events",
    summary="Follow it",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-Sent Events, one a history entry"}},
)
async def events(
    request: Request,
    deployment_id: UUID,
    caller: Reader,
    last_event_id: Annotated[str | None, Header(description="Go on behind this event.")] = None,
) -> StreamingResponse:
    """The history as Server-Sent Events: what happened so far, then what happens. `id` is the event's id; an event may
    be told again after `Last-Event-ID`, and is never left out."""
    desk = desk_of(request)
    await look(desk, caller, deployment_id)
    stream = follow(desk, caller, deployment_id, last_event_id)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
