"""Queues of pools, and questions about their capacity, in Postgres."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.engine import Row

from schemas.capacity import CapacityHint, DefragmentationPlanned, QueueEntry, QueueReported, WhatIfAnswered
from services.ingest_api.domain.questions import Question, QuestionKind
from services.ingest_api.domain.waiting_list import Report
from services.kit.persistence.unit_of_work import UnitOfWork

REPORT = text(
    "INSERT INTO queue_report (pool, at, as_of_decision, length, gpu_milli, hints)"
    " VALUES (:pool, :at, :as_of_decision, :length, :gpu_milli, cast(:hints AS jsonb))"
    " ON CONFLICT (pool) DO UPDATE SET at = excluded.at, as_of_decision = excluded.as_of_decision,"
    " length = excluded.length, gpu_milli = excluded.gpu_milli, hints = excluded.hints"
    " WHERE (queue_report.as_of_decision, queue_report.at) <= (excluded.as_of_decision, excluded.at) RETURNING 1"
)
"""Nothing comes back for a report that is older than the one that is there."""
CLEAR = text("DELETE FROM queue_entries WHERE pool = :pool")
ENTRIES = text("INSERT INTO queue_entries (tenant_id, pool, entries) VALUES (:tenant, :pool, cast(:entries AS jsonb))")
REPORTS = text(
    "SELECT r.*, (SELECT jsonb_agg(e.entries) FROM queue_entries e WHERE e.pool = r.pool"
    " AND (cast(:tenant AS uuid) IS NULL OR e.tenant_id = cast(:tenant AS uuid))) AS entries"
    " FROM queue_report r WHERE cast(:pool AS text) IS NULL OR r.pool = cast(:pool AS text) ORDER BY r.pool"
)
ASK = text(
    "INSERT INTO capacity_question (tenant_id, question_id, kind, pool, demand, asked_by, asked_at)"
    " VALUES (:tenant_id, :question_id, :kind, :pool, cast(:demand AS jsonb), :asked_by, :asked_at)"
)
UNANSWERED = text(
    "SELECT count(*) FROM capacity_question WHERE tenant_id = :tenant AND answer IS NULL AND asked_at >= :since"
)
ANSWER = text(
    "UPDATE capacity_question SET answer = cast(:answer AS jsonb), answered_at = :at"
    " WHERE question_id = :question_id AND answer IS NULL RETURNING 1"
)
FIND = text(
    "SELECT * FROM capacity_question WHERE question_id = :question_id"
    " AND (cast(:tenant AS uuid) IS NULL OR tenant_id = cast(:tenant AS uuid))"
)
ANSWERS: dict[QuestionKind, type[WhatIfAnswered] | type[DefragmentationPlanned]] = {
    QuestionKind.WHAT_IF: WhatIfAnswered,
    QuestionKind.DEFRAGMENTATION: DefragmentationPlanned,
}
ENTRY_LIST, HINTS = TypeAdapter(list[list[QueueEntry]]), TypeAdapter(tuple[CapacityHint, ...])


class PostgresQueues:
    """`QueueStore`."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work

    async def report(self, data: QueueReported) -> None:
        """See the port."""
        told = {
            "pool": data.pool,
            "at": data.at,
            "as_of_decision": data.as_of_decision,
            "length": data.length,
            "gpu_milli": sum(entry.gpu_milli for entry in data.entries),
            "hints": HINTS.dump_json(data.hints).decode(),
        }
        if (await self._work.connection.execute(REPORT, told)).first() is None:
            return
        await self._work.connection.execute(CLEAR, {"pool": data.pool})
        if data.entries:
            await self._work.connection.execute(ENTRIES, _rows(data))

    async def reports(self, pool: str | None) -> list[Report]:
        """See the port."""
        rows = await self._work.connection.execute(REPORTS, {"pool": pool, "tenant": self._work.tenant_id})
        return [_report(row) for row in rows]


def _rows(data: QueueReported) -> list[dict[str, Any]]:
    """One a tenant."""
    entries = sorted(data.entries, key=lambda entry: (entry.tenant_id, entry.position))
    return [
        {
            "tenant": tenant,
            "pool": data.pool,
            "entries": json.dumps([entry.model_dump(mode="json") for entry in own]),
        }
        for tenant, own in groupby(entries, key=lambda entry: entry.tenant_id)
    ]


def _report(row: Row[Any]) -> Report:
    lists = ENTRY_LIST.validate_python(row.entries or [], extra="ignore")
    return Report(
        pool=row.pool,
        at=row.at,
        as_of_decision=row.as_of_decision,
        length=row.length,
        gpu_milli=row.gpu_milli,
        entries=tuple(sorted((entry for own in lists for entry in own), key=lambda entry: entry.position)),
        hints=HINTS.validate_python(row.hints, extra="ignore"),
    )


class PostgresQuestions:
    """`QuestionStore`."""

    def __init__(self, work: UnitOfWork) -> None:
        self._work = work

    async def ask(self, question: Question) -> None:
        """See the port."""
        told = question.model_dump(exclude={"demand", "answer", "answered_at"})
        told |= {"kind": question.kind.value, "demand": question.demand.model_dump_json()}
        await self._work.connection.execute(ASK, told)

    async def unanswered(self, since: datetime) -> int:
        """See the port."""
        found = await self._work.connection.execute(UNANSWERED, {"tenant": self._work.tenant_id, "since": since})
        return int(found.scalar_one())

    async def answer(self, answer: WhatIfAnswered | DefragmentationPlanned, at: datetime) -> bool:
        """See the port."""
        told = {"question_id": answer.question_id, "answer": answer.model_dump_json(), "at": at}
        return (await self._work.connection.execute(ANSWER, told)).first() is not None

    async def find(self, question_id: UUID) -> Question | None:
        """See the port."""
        told = {"question_id": question_id, "tenant": self._work.tenant_id}
        row = (await self._work.connection.execute(FIND, told)).first()
        return None if row is None else _question(row)


def _question(row: Row[Any]) -> Question:
    kind = QuestionKind(row.kind)
    answer = None if row.answer is None else ANSWERS[kind].model_validate(row.answer, extra="ignore")
    fields = row._asdict() | {"kind": kind, "answer": answer}
    return Question.model_validate(fields)
