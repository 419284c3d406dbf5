"""Capacity: the map and the queues as a caller may see them, and questions to the pool's owner."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from schemas.capacity import CapacityDemand
from schemas.tenant import PLATFORM_TENANT
from services.ingest_api.domain.gpu_map import GpuMap, gpu_map
from services.ingest_api.domain.problems import Problem, invalid, not_found
from services.ingest_api.domain.questions import EVENTS, Question, QuestionKind, deployments_in
from services.ingest_api.domain.waiting_list import Queue, Report, queue_of
from services.ingest_api.ports import OpenStores, Stores, Transactions
from services.ingest_api.usecases.caller import Caller

MOST_OPEN = 20
"""Questions of one tenant without an answer, of the last `OPEN_SECONDS`."""
OPEN_SECONDS = 60


def seen_by(caller: Caller, transactions: Transactions) -> tuple[OpenStores, UUID | None]:
    """The way to what a caller may see by name: everything for an operator; a tenant's own for anybody else, through
    the role that the database keeps to it."""
    if caller.principal.is_operator:
        return transactions.platform, None
    return transactions.tenant, caller.tenant_id


async def map_of(
    caller: Caller, transactions: Transactions, pool: str | None, node: str | None, gpu_model: str | None
) -> GpuMap:
    """Who holds which GPU. Amounts without owners come by the worker's role; owners by the caller's own way."""
    async with transactions.platform(None) as stores:
        nodes = await stores.capacity.nodes(pool)
        everything = await stores.capacity.allocations()
    open_stores, whose = seen_by(caller, transactions)
    async with open_stores(whose) as stores:
        holdings = await stores.capacity.holdings()
    wanted = [each for each in nodes if node in (None, each.node) and gpu_model in (None, each.gpu_model)]
    return await asyncio.to_thread(gpu_map, wanted, everything, holdings)  # a tenth of a second of a large cluster


async def queues(caller: Caller, transactions: Transactions, pool: str | None) -> list[Queue]:
    """Who waits, by pool; a tenant sees its own entries, and how many wait in all."""
    open_stores, whose = seen_by(caller, transactions)
    async with open_stores(whose) as stores:
        return [await _named(stores, report) for report in await stores.queues.reports(pool)]


async def _named(stores: Stores, report: Report) -> Queue:
    deployments = await stores.capacity.deployment_names({entry.deployment_id for entry in report.entries})
    tenants = await stores.capacity.tenant_names({entry.tenant_id for entry in report.entries})
    return queue_of(report, deployments, tenants)


async def ask(
    stores: Stores,
    caller: Caller,
    question_id: UUID,
    kind: QuestionKind,
    pool: str,
    demand: CapacityDemand,
    tenant_id: UUID | None,
) -> Question:
    """Ask the pool's owner; for the platform when no tenant is given. Raises `Problem` for a pool or a tenant that is
    not there, and when too many of the asker's questions wait for an answer: the owner has reservations to decide.

    The transaction speaks for the tenant, if any.
    """
    if not await stores.capacity.has_nodes(pool):  # nobody would answer
        raise invalid("/pool", f"no node of pool {pool} is known: name a pool that the GPU map shows")
    if tenant_id is None:
        await stores.act_for(PLATFORM_TENANT)
    elif await stores.tenants.find() is None:
        raise invalid("/tenant_id", "there is no tenant with this id")
    if await stores.questions.unanswered(caller.now - timedelta(seconds=OPEN_SECONDS)) >= MOST_OPEN:
        message = f"{MOST_OPEN} questions of the last {OPEN_SECONDS} s have no answer yet: wait for theirs."
        raise Problem("too-many-questions", message, headers={"Retry-After": str(OPEN_SECONDS)})
    about = tenant_id or PLATFORM_TENANT
    question = Question(
        question_id=question_id,
        kind=kind,
        tenant_id=about,
        pool=pool,
        demand=demand,
        asked_by=caller.principal.actor,
        asked_at=caller.now,
    )
    await stores.questions.ask(question)
    stores.emit(EVENTS[kind](pool=pool, question_id=question_id, demand=demand), caller.origin(about))
    return question


async def look(
    caller: Caller, transactions: Transactions, kind: QuestionKind, question_id: UUID
) -> tuple[Question, dict[UUID, str]]:
    """A question of that kind that the caller may see, and the names of the deployments in its answer that it may see;
    raises `Problem`."""
    open_stores, whose = seen_by(caller, transactions)
    async with open_stores(whose) as stores:
        question = await stores.questions.find(question_id)
        if question is None or question.kind is not kind:
            raise not_found("question")
        named = deployments_in(question)
        return question, await stores.capacity.deployment_names(named) if named else {}
