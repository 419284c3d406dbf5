"""What operators look at beside capacity: lag."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import AwareDatetime

from schemas.base import ContractModel
from services.ingest_api.entrypoints.http.callers import Operator
from services.ingest_api.entrypoints.http.desk import desk_of
from services.kit.errors import TransientError

router = APIRouter(tags=["platform"])


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


@router.get("/lag", summary="How far consumers are behind")
async def lag(request: Request, _: Operator) -> Lag:
    """Exact, also for a group whose consumer is down."""
    snapshot = desk_of(request).lag.snapshot()
    if snapshot is None:
        raise TransientError("the lag is not measured yet", retry_after=5)
    return Lag.model_validate(snapshot, from_attributes=True)
