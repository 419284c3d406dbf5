"""An answer of the scheduler as a row of the table `answer`."""

from __future__ import annotations

import json
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import RowMapping

from schemas.resources import Allocation
from services.deployer.domain.observation import Answer, AnswerKind, Preemption


def columns_of(answer: Answer) -> dict[str, str]:
    """Values by column; lists as JSON text."""
    allocations = [allocation.model_dump(mode="json") for allocation in answer.allocations]
    preemptions = [{**asdict(asked), "claimant": str(asked.claimant)} for asked in answer.preemptions]
    return {
        "kind": answer.kind.value,
        "reason": answer.reason,
        "allocations": json.dumps(allocations),
        "preemptions": json.dumps(preemptions),
    }


def answer_of(row: RowMapping) -> Answer:
    """The row as the domain reads it, lists from JSON text; raises `ValueError` when it cannot be read."""
    allocations = tuple(Allocation.model_validate(item, extra="ignore") for item in json.loads(row["allocations"]))
    return Answer(AnswerKind(row["kind"]), row["reason"], allocations, _preemptions(row["preemptions"]))


def _preemptions(text: str) -> tuple[Preemption, ...]:
    return tuple(Preemption(item["replica"], UUID(item["claimant"]), item["reason"]) for item in json.loads(text))
