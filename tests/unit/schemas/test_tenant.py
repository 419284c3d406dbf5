"""Plans: what an older producer did not say has its default, and what none may say is refused with its pointer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.base import EventData
from schemas.envelope import parse_data
from schemas.errors import ContractError
from schemas.tenant import Plan, PlanChanged, TenantCreated
from tests.fakes.scheduler.builders import TEAM


def written(plan: dict[str, Any], kind: type[EventData] = PlanChanged) -> EventData:
    """The event with this plan, as it is read from the log."""
    named = {"name": "acme"} if kind is TenantCreated else {}
    data = {"tenant_id": str(TEAM), "plan": {"name": "team"} | plan} | named
    return parse_data(kind.type, json.dumps(data).encode(), lenient=True)


@pytest.mark.parametrize("kind", [TenantCreated, PlanChanged])
def test_a_plan_of_before_the_limit_on_waiting_has_the_default(kind: type[EventData]) -> None:
    event = written({"max_concurrent_gpu_milli": 5}, kind)
    assert isinstance(event, TenantCreated | PlanChanged)
    assert (event.plan.max_waiting_requests, event.plan.max_concurrent_gpu_milli) == (1000, 5)
    assert event.plan == Plan(name="team", max_concurrent_gpu_milli=5, max_waiting_requests=1000)


def test_nothing_may_wait_where_the_limit_is_zero() -> None:
    event = written({"max_waiting_requests": 0})
    assert isinstance(event, PlanChanged)
    assert event.plan.max_waiting_requests == 0


@pytest.mark.parametrize("field", ["max_waiting_requests", "max_concurrent_gpu_milli", "max_models"])
@pytest.mark.parametrize("number", [-1, 2**53 + 1, 1.5, "many", None])
def test_what_is_no_number_that_can_be_stored_is_refused_with_its_pointer(field: str, number: Any) -> None:
    with pytest.raises(ContractError, match=f"/plan/{field}"):
        written({field: number})
