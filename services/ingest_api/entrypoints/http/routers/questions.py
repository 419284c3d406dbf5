"""Questions to the owner of a pool: would this fit, and what would have to move for it? Asking changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from schemas.base import Name
from schemas.capacity import CapacityDemand
from services.ingest_api.domain.durations import seconds_of
from services.ingest_api.domain.problems import Problem
from services.ingest_api.domain.questions import (
    Defragmentation,
    Question,
    QuestionKind,
    WhatIf,
    defragmentation,
    what_if,
)
from services.ingest_api.entrypoints.http.asked import AskedResources
from services.ingest_api.entrypoints.http.callers import CapacityReader, Operator
from services.ingest_api.entrypoints.http.desk import Desk, desk_of
from services.ingest_api.entrypoints.http.writes import Once, Reply, Write, respond
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import capacity as capacities
from services.ingest_api.usecases.caller import Caller

router = APIRouter(prefix="/capacity", tags=["capacity"])

MAX_WAIT_SECONDS = 60.0
Wait = Annotated[str, Query(description="Wait this long for the answer, such as 5s; at most 60s.")]


class Asked(CapacityDemand):
    """A request that nobody has made yet."""

    resources: AskedResources
    """Demand of one replica."""
    pool: Name = "default"
    """Pool of nodes that is asked."""
    tenant_id: UUID | None = None
    """Whose request it would be. A tenant's own callers leave it out; an operator's question without it is the
    platform's, under no tenant's limits."""

    @property
    def demand(self) -> CapacityDemand:
        """As the contract has it."""
        return CapacityDemand.model_validate(self.model_dump(exclude={"pool", "tenant_id"}))


Shown = WhatIf | Defragmentation


def shown(caller: Caller, question: Question, names: dict[UUID, str]) -> Shown:
    """The question as the caller may see it."""
    if question.kind is QuestionKind.DEFRAGMENTATION:
        return defragmentation(question, names)
    return what_if(question, names, sees_all=caller.principal.is_operator)


async def look(desk: Desk, caller: Caller, kind: QuestionKind, question_id: UUID, until: datetime) -> Shown:
    """The question once it is answered, or as it stands at `until`; raises `Problem`."""
    while True:
        ring = desk.bell.listen(question_id)
        question, names = await capacities.look(caller, desk.transactions, kind, question_id)
        left = (until - desk.clock.now()).total_seconds()
        if question.answer is not None or left <= 0 or desk.bell.is_closed:
            return shown(caller, question, names)
        await desk.bell.wait(ring, left)


def deadline(desk: Desk, wait: str) -> datetime:
    """When whoever waits is told what there is; raises `Problem`."""
    return desk.clock.now() + timedelta(seconds=min(seconds_of(wait, "wait"), MAX_WAIT_SECONDS))


async def _ask(once: Write, caller: Caller, kind: QuestionKind, body: Asked, wait: str) -> Response:
    """Say the question once; then wait for the answer, also for one to a question that was asked before."""
    desk, until = once.desk, deadline(once.desk, wait)
    tenant_id = body.tenant_id if caller.principal.is_operator else caller.tenant_id

    async def act(stores: Stores) -> Reply:
        question = await capacities.ask(stores, caller, desk.ids(), kind, body.pool, body.demand, tenant_id)
        return Reply(202, shown(caller, question, {}), f"/api/v1/capacity/{kind}/{question.question_id}")

    if caller.principal.is_operator:
        accepted = await once.for_operator(tenant_id, act)
    else:
        accepted = await once.for_tenant(caller, act)
    location = accepted.headers["location"]
    try:
        answer = await look(desk, caller, kind, UUID(location.rpartition("/")[2]), until)
    except Problem:  # an Idempotency-Key outlives the question that was asked with it
        return accepted
    return accepted if answer.answered_at is None else respond(200, location, answer.model_dump(mode="json"))


@router.post("/what-if", response_model=WhatIf, responses={202: {"model": WhatIf}}, summary="Would it fit?")
async def ask_what_if(body: Asked, caller: CapacityReader, once: Once, wait: Wait = "5s") -> Response:
    """Where a request would go, what would be drained for it, or why and how long it would wait: 200 with the answer,
    or 202 when there is none in time. To a tenant, other tenants' replicas are amounts."""
    return await _ask(once, caller, QuestionKind.WHAT_IF, body, wait)


@router.get("/what-if/{question_id}", summary="The answer to a what-if")
async def show_what_if(request: Request, question_id: UUID, caller: CapacityReader, wait: Wait = "0s") -> WhatIf:
    """For seven days. `answered_at` is null while there is no answer; with `wait`, answers as soon as there is one."""
    desk = desk_of(request)
    found = await look(desk, caller, QuestionKind.WHAT_IF, question_id, deadline(desk, wait))
    return WhatIf.model_validate(found)


@router.post(
    "/defragmentation",
    response_model=Defragmentation,
    responses={202: {"model": Defragmentation}},
    summary="What would have to move?",
)
async def ask_defragmentation(body: Asked, caller: Operator, once: Once, wait: Wait = "5s") -> Response:
    """The fewest moves found that make room for a request, in order, with their cost; none is made by asking. 200 with
    the plan, or 202 when there is none in time."""
    return await _ask(once, caller, QuestionKind.DEFRAGMENTATION, body, wait)


@router.get("/defragmentation/{question_id}", summary="A plan to make room")
async def show_defragmentation(
    request: Request, question_id: UUID, caller: Operator, wait: Wait = "0s"
) -> Defragmentation:
    """For seven days. `answered_at` is null while there is no plan; with `wait`, answers as soon as there is one."""
    desk = desk_of(request)
    found = await look(desk, caller, QuestionKind.DEFRAGMENTATION, question_id, deadline(desk, wait))
    return Defragmentation.model_validate(found)
