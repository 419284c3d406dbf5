"""Usage is handed in and quota is asked for, on in-memory parts: what fails in between loses and doubles nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.tenant import Limit, Meter, Plan, Window
from schemas.usage import UsageSample
from services.ingest_api.domain.identity import Principal, Scope
from services.ingest_api.domain.problems import Problem
from services.ingest_api.usecases.caller import Caller
from services.ingest_api.usecases.quota import QuotaDesk
from services.ingest_api.usecases.usage import MAX_DAYS, Receipt, UsageDesk, totals
from services.kit.clock import HeldClock
from services.kit.errors import TransientError
from services.kit.ids import new_id
from services.kit.quota.model import QuotaUnavailable
from tests.fakes.ingest_api.application import Application
from tests.fakes.ingest_api.builders import NOW, TENANT
from tests.fakes.ingest_api.memory import InMemoryDuplicateMarks, InMemoryUsageLog
from tests.fakes.quota.ledger import InMemoryQuota

CALLER = Caller(Principal("key:abc", TENANT, frozenset({Scope.USAGE})), NOW, "trace-1")
PLAN = Plan(name="team", limits=(Limit(meter=Meter.INPUT_TOKENS, window=Window.DAY, amount=1000),))
TOKENS = {Meter.INPUT_TOKENS: 100}


class Desks:
    """Both desks on fresh in-memory parts."""

    def __init__(self) -> None:
        self.marks, self.log = InMemoryDuplicateMarks(), InMemoryUsageLog()
        self.clock = HeldClock(NOW)
        self.ledger = InMemoryQuota(self.clock)
        self.usage = UsageDesk(self.marks, self.log, new_id)
        self.quota = QuotaDesk(self.ledger, self.usage)

    async def report(self, *ids: str, source: str = "/gw") -> Receipt:
        """Report a sample for each id."""
        samples = {name: UsageSample(id=name, time=NOW, amounts=TOKENS) for name in ids}
        return await self.usage.report(CALLER, {source: samples}, len(ids))

    async def held(self) -> int:
        """Held of the only limit."""
        return (await self.quota.state(CALLER, PLAN))[0].held


@pytest.fixture
def desks() -> Desks:
    return Desks()


async def test_a_record_says_whose_it_is_and_who_sent_it(desks: Desks) -> None:
    assert await desks.report("a", "b") == Receipt(accepted=2, duplicates=0)
    [event] = desks.log.events
    assert (event.source, event.tenantid, event.actor, event.correlationid) == (
        "/gw",
        str(TENANT),
        "key:abc",
        "trace-1",
    )


async def test_only_what_is_new_is_recorded(desks: Desks) -> None:
    await desks.report("a", "b")
    assert await desks.report("b", "c") == Receipt(accepted=1, duplicates=1)
    assert await desks.report("a", source="/other") == Receipt(accepted=1, duplicates=0)
    assert [[sample.id for sample in event.data.samples] for event in desks.log.events] == [["a", "b"], ["c"], ["a"]]


async def test_a_delivery_that_fails_may_be_tried_again_at_once(desks: Desks) -> None:
    # given
    desks.log.is_away = True
    with pytest.raises(TransientError):
        await desks.report("a")
    # when
    desks.log.is_away = False
    # then
    assert await desks.report("a") == Receipt(accepted=1, duplicates=0)


async def test_samples_under_way_elsewhere_are_neither_lost_nor_doubled(desks: Desks) -> None:
    # given
    await desks.marks.claim(TENANT, "/gw", ["b"])
    # when
    with pytest.raises(Problem, match="samples-in-flight"):
        await desks.report("a", "b")
    # then
    assert desks.log.events == []
    await desks.marks.forget(TENANT, "/gw", ["b"])
    assert await desks.report("a", "b") == Receipt(accepted=2, duplicates=0)


async def test_a_commit_records_before_it_ends_the_hold(desks: Desks) -> None:
    # given
    await desks.quota.hold(CALLER, PLAN, "h", {Meter.INPUT_TOKENS: 400}, 60)
    desks.log.is_away = True
    # when the log is away
    with pytest.raises(TransientError):
        await desks.quota.commit(CALLER, "h", TOKENS, NOW)
    # then nothing is given up
    assert await desks.held() == 400
    # and the next try does both
    desks.log.is_away = False
    assert await desks.quota.commit(CALLER, "h", TOKENS, NOW) == Receipt(accepted=1, duplicates=0)
    assert await desks.held() == 100
    assert desks.log.events[0].data.samples[0].hold_id == f"{TENANT}:h"


async def test_a_commit_that_was_cut_in_the_middle_is_finished_by_its_repetition(desks: Desks) -> None:
    # given
    await desks.quota.hold(CALLER, PLAN, "h", {Meter.INPUT_TOKENS: 400}, 60)
    desks.ledger.is_away = True
    with pytest.raises(QuotaUnavailable):
        await desks.quota.commit(CALLER, "h", TOKENS, NOW)
    # when
    desks.ledger.is_away = False
    receipt = await desks.quota.commit(CALLER, "h", TOKENS, NOW)
    # then
    assert receipt == Receipt(accepted=0, duplicates=1)
    assert (len(desks.log.events), await desks.held()) == (1, 100)


async def test_a_commit_of_nothing_used_records_nothing(desks: Desks) -> None:
    await desks.quota.hold(CALLER, PLAN, "h", {Meter.INPUT_TOKENS: 400}, 60)
    await desks.quota.commit(CALLER, "h", {Meter.INPUT_TOKENS: 0}, NOW)
    assert (desks.log.events, await desks.held()) == ([], 0)


async def test_a_meter_without_a_limit_is_never_denied(desks: Desks) -> None:
    hold = await desks.quota.hold(CALLER, PLAN, "h", {Meter.API_CALLS: 10**9}, 60)
    assert hold.limits == ()


async def test_without_the_ledger_nothing_is_let_through(desks: Desks) -> None:
    desks.ledger.lose()
    with pytest.raises(QuotaUnavailable):
        await desks.quota.hold(CALLER, PLAN, "h", TOKENS, 60)


async def test_totals_are_read_for_a_bounded_range(desks: Desks) -> None:
    today = NOW.date()
    with pytest.raises(Problem):
        await totals(desks.ledger, str(TENANT), today - timedelta(days=MAX_DAYS), today, None)
    assert (await totals(desks.ledger, str(TENANT), today, today, Meter.API_CALLS)).meters[0].total == 0


@pytest.mark.parametrize("time", ["2019-12-31T23:59:59Z", "2026-03-01T12:02:31Z", "0001-01-01T00:00:00+14:00"])
async def test_a_commit_that_would_not_be_counted_is_refused_and_leaves_no_hold_for_good(time: str) -> None:
    # given
    log = InMemoryUsageLog()
    application = Application(log=log)
    await application.quota.hold(CALLER, PLAN, "h", {Meter.INPUT_TOKENS: 400}, 60)
    # when
    answer = await application.send(
        "POST", "/quota/holds/h/commit", json={"amounts": {"input_tokens": 100}, "time": time}
    )
    # then
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, ["/time"])
    assert log.events == []
    # and the hold is what it was: it ends by itself
    application.clock.advance(61)
    assert (await application.quota.state(CALLER, PLAN))[0].held == 0
