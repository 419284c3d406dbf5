"""What a pool's owner does and says beside decisions: time passes, the queue is reported, questions are answered, and
the order of inputs is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.capacity import (
    AppliedInput,
    CapacityAnswer,
    DefragmentationPlanned,
    InputsApplied,
    QueueReported,
    WhatIfAnswered,
    WouldBe,
)
from schemas.placement import CapacityQueued, CapacityRejected, CapacityReleased, CapacityReserved, QueueReason
from services.kit.messaging.origin import Origin
from services.scheduler.domain.policies import policy_named
from services.scheduler.entrypoints import saying
from tests.fakes.scheduler.builders import (
    NOW,
    OTHER_TEAM,
    TEAM,
    ask_defragmentation,
    ask_what_if,
    entry,
    from_a_newer_release,
    gpus,
    identity,
    node,
    release,
    reserve,
    tenant,
)
from tests.fakes.scheduler.office import Office
from tests.fakes.scheduler.stores import InMemoryInputLog

GIVEN = (node("n1", 4), tenant())


async def office_of(*messages: Any) -> Office:
    office = await Office(policy=policy_named("best_fit")).given(*GIVEN, *messages)
    await office.drain()
    return office


def order(office: Office) -> list[AppliedInput]:
    """All inputs, in the order that was told."""
    return [each for told in office.said(InputsApplied) for each in told.inputs]


async def test_a_deadline_is_kept_though_nobody_says_anything() -> None:
    office = await office_of(reserve("held", gpus(4)), reserve("waits", gpus(2), start_within_seconds=60))
    assert await office.when(seconds=59) == []
    (refused,) = await office.when(seconds=1)
    assert isinstance(refused, CapacityRejected)
    assert (refused.reservation_id, refused.reason) == (identity("waits"), QueueReason.DEADLINE_PASSED)
    assert refused.decision.input_id == entry(reserve("waits", gpus(2), start_within_seconds=60)).cause.input_id
    assert await office.when(seconds=3600) == [], "time passes once"


async def test_the_passing_of_time_stands_in_the_order_of_inputs_at_its_time() -> None:
    office = await office_of(reserve("held", gpus(4)), reserve("waits", gpus(2), start_within_seconds=60))
    await office.when(reserve("later"), seconds=61)
    passed, later = order(office)[-2:]
    assert (passed.input_id, passed.input_position, passed.number) == ("", "", 5)
    assert (later.number, later.input_id) == (6, entry(reserve("later")).cause.input_id)
    assert passed.at == later.at == office.clock.now()


async def test_a_deadline_is_known_after_a_restart() -> None:
    office = await office_of(reserve("held", gpus(4)), reserve("waits", gpus(2), start_within_seconds=60))
    await office.given()
    assert await office.when(seconds=59) == []
    assert [type(each) for each in await office.when(seconds=1)] == [CapacityRejected]


async def test_a_promised_start_that_nothing_makes_true_says_nothing_more_than_the_queue_does() -> None:
    """What was to end by then has not: the promise is made anew, time and again, and nothing is decided."""
    office = await office_of(reserve("runs", gpus(4), expected_seconds=60), reserve("waits", gpus(4)))
    assert isinstance(office.placements()[-1], CapacityQueued)
    assert office.placements()[-1].estimated_start is not None
    said = [each for _ in range(5) for each in await office.when(seconds=60)]
    assert said == []
    assert [type(each) for each in await office.when(release("runs"))] == [CapacityReleased, CapacityReserved]


async def test_time_goes_on_where_it_was_after_a_restart_with_a_clock_that_is_behind() -> None:
    """Two machines' clocks differ; what was applied later is never told as earlier."""
    office = await office_of()
    await office.when(reserve("a"), seconds=100)
    office.clock.advance(-50)
    await office.given(reserve("b"))
    await office.drain()
    assert office.clock.now() == NOW + timedelta(seconds=50)
    assert order(office)[-1].at == office.placements()[-1].decision.decided_at == NOW + timedelta(seconds=100)


async def test_each_input_is_told_once_with_its_number_and_its_record() -> None:
    messages = (reserve("a"), reserve("b"), release("a"))
    office = await office_of(*messages)
    told = order(office)
    assert [each.number for each in told] == [1, 2, 3, 4, 5]
    assert [each.input_id for each in told] == [entry(data).cause.input_id for data in (*GIVEN, *messages)]
    assert all(each.input_position.endswith("/0/1") for each in told)
    assert {each.at for each in told} == {NOW}
    numbers = [said.decision.input_number for said in office.placements()]
    assert numbers == [3, 4, 5]


async def test_what_is_set_aside_is_not_in_the_order() -> None:
    office = await office_of(from_a_newer_release(), reserve("a"))
    assert [each.number for each in order(office)] == [1, 2, 3]


async def test_a_batch_that_is_too_long_for_one_event_is_told_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saying, "MOST_INPUTS", 2)
    office = await office_of(reserve("a"), reserve("b"), release("a"))
    assert [len(told.inputs) for told in office.said(InputsApplied)] == [2, 2, 1]
    assert [each.number for each in order(office)] == [1, 2, 3, 4, 5]


async def test_the_queue_is_reported_with_positions_and_reasons() -> None:
    office = await office_of(reserve("held", gpus(4)), reserve("first"), reserve("second", gpus(2), priority=50))
    (report,) = office.said(QueueReported)
    assert (report.pool, report.length, report.as_of_decision) == ("default", 2, 3)
    assert [(each.reservation_id, each.position, each.reason) for each in report.entries] == [
        (identity("first"), 1, QueueReason.NO_FREE_CAPACITY),
        (identity("second"), 2, QueueReason.NO_FREE_CAPACITY),
    ]


async def test_a_queue_that_changes_all_the_time_is_reported_every_two_seconds() -> None:
    office = await office_of(reserve("held", gpus(4)), reserve("w0"))
    for number in range(1, 41):
        await office.when(reserve(f"w{number}"), seconds=0.1)
    reports = office.said(QueueReported)
    assert [report.length for report in reports] == [1, 21, 41]


async def test_what_changed_just_after_a_report_is_reported_later_though_nothing_happens_any_more() -> None:
    office = await office_of(reserve("held", gpus(4)), reserve("first"))
    await office.when(reserve("second"), seconds=1)
    assert [report.length for report in office.said(QueueReported)] == [1]
    await office.when(seconds=1)
    assert [report.length for report in office.said(QueueReported)] == [1, 2]
    await office.when(seconds=100)
    assert len(office.said(QueueReported)) == 2


async def test_an_empty_queue_is_reported_once_and_one_that_never_was_not_at_all() -> None:
    office = await office_of(reserve("held", gpus(4)), reserve("waits"))
    await office.when(release("waits"), seconds=10)
    await office.when(release("held"), seconds=10)
    await office.when(reserve("again"), release("again"), seconds=10)
    assert [report.length for report in office.said(QueueReported)] == [1, 0]


async def test_a_new_owner_reports_the_queue_that_it_found() -> None:
    """The one before may have died between a change and its report."""
    office = await office_of(reserve("held", gpus(4)), reserve("first"))
    office.owner = office.hire(policy_named("best_fit"))
    await office.given()
    await office.drain()
    assert [report.length for report in office.said(QueueReported)] == [1, 1]


async def asked(office: Office, question: Any, tenant_id: Any = TEAM) -> Any:
    """The answer's event."""
    recorded = entry(question, tenant_id)
    origin = Origin(tenant_id, "key:ab12", "request-7", "question-7", f"00-{'ab' * 16}-{'cd' * 8}-01")
    async with office.database.unit_of_work() as work:
        cause = replace(recorded.cause, origin=origin.to_json())
        await InMemoryInputLog(office.database).append(work, "default", replace(recorded, cause=cause))
    before = len(office.events(CapacityAnswer))
    await office.drain()
    (answer,) = office.events(CapacityAnswer)[before:]
    return answer


async def test_a_question_is_answered_to_whom_asked() -> None:
    office = await office_of(tenant(OTHER_TEAM), reserve("held", gpus(3)))
    answer = await asked(office, ask_what_if(gpus(1)), OTHER_TEAM)
    assert isinstance(answer.data, WhatIfAnswered)
    assert (answer.data.question_id, answer.data.outcome) == (identity("question"), WouldBe.PLACED)
    assert answer.data.as_of_decision == 1
    assert (answer.correlationid, answer.causationid, answer.tenantid) == ("request-7", "question-7", str(OTHER_TEAM))
    assert (answer.actor, answer.traceparent) == ("service:scheduler", f"00-{'ab' * 16}-{'cd' * 8}-01")


@pytest.mark.parametrize(
    ("resources", "outcome"), [(gpus(1), WouldBe.PLACED), (gpus(2), WouldBe.QUEUED), (gpus(8), WouldBe.REJECTED)]
)
async def test_a_question_changes_nothing_and_takes_no_number(resources: Any, outcome: WouldBe) -> None:
    office = await office_of(reserve("held", gpus(3)))
    before = office.placements(), office.database.tables.reserved, office.database.tables.waiting
    answer = await asked(office, ask_what_if(resources))
    assert answer.data.outcome == outcome
    assert (office.placements(), office.database.tables.reserved, office.database.tables.waiting) == before
    (placed,) = await office.when(reserve("next"))
    assert placed.decision.number == 2
    assert order(office)[-2].input_id == entry(ask_what_if(resources)).cause.input_id


async def test_a_plan_to_defragment_is_an_answer_too() -> None:
    office = await office_of(node("n2", 4), reserve("a", gpus(3)), reserve("b", gpus(1)))
    answer = await asked(office, ask_defragmentation(gpus(4)))
    assert isinstance(answer.data, DefragmentationPlanned)
    assert answer.correlationid == "request-7"
