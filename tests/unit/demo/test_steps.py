"""How the demo spreads its work: channels, tenants, repetitions; and what it prints and exits with."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from infra.demo import __main__ as command
from infra.demo import metering
from infra.demo.canaries import needed_gpu_milli
from infra.demo.deployments import BAD, BEHAVIOURS, GATES, WEIGHTS, plan_deployments
from infra.demo.metering import SENT_TWICE, Counted, await_totals, send_trace
from infra.demo.recorded import Trace
from infra.demo.refusals import DeadLetter, Refusals
from infra.demo.report import as_json, show
from infra.demo.story import Outcome, Story
from infra.demo.tenants import MODELS, PLANS, VERSIONS, Tenant
from infra.local.errors import PartMissing
from schemas.tenant import Meter
from schemas.usage import UsageReported, UsageSample
from services.cli.history import history_of
from tests.unit.demo.world import World, tenants

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_both_channels_and_both_tenants_get_deployments_of_either_outcome() -> None:
    planned = plan_deployments(tenants())
    assert {(item.tenant.name, item.by_kafka) for item in planned} == {
        (tenant, by_kafka) for tenant in PLANS for by_kafka in (True, False)
    }
    assert len({item.spec.name for item in planned}) == len(planned)
    assert {planned[number].by_kafka for number in BAD} == {True, False}
    assert {item.spec.canary.weights for item in planned} == {WEIGHTS}


def test_every_version_that_is_asked_for_is_registered_and_behaves_as_its_name_says() -> None:
    assert set(BAD.values()) | {"1.0", "2.0"} == set(VERSIONS) == set(BEHAVIOURS)
    for version, behaviour in BEHAVIOURS.items():
        is_bad = behaviour["latency_ms"] > (GATES.max_latency_p99_ms or 0) or behaviour.get("error_rate", 0) > (
            GATES.max_error_rate or 0
        )
        assert is_bad == (version in BAD.values()), version
    assert {item.spec.model for item in plan_deployments(tenants())} == set(MODELS)


def test_both_versions_of_all_deployments_fit_into_the_plans() -> None:
    planned = plan_deployments(tenants())
    for name, plan in PLANS.items():
        own = [item for item in planned if item.tenant.name == name]
        assert 2 * needed_gpu_milli(own) <= plan.max_concurrent_gpu_milli


@dataclass
class Till:
    """Counts the samples of one tenant, as the platform would: by source and id, once."""

    seen: dict[str, UsageSample] = field(default_factory=dict)
    by_rest: int = 0
    by_kafka: int = 0
    duplicates: int = 0
    """Samples that came a second time by Kafka; REST tells of its own at once."""
    lost: int = 0
    """Samples to leave out of the totals."""

    def take(self, samples: list[UsageSample]) -> int:
        """Returns how many were known."""
        known = [sample for sample in samples if sample.id in self.seen]
        self.seen |= {sample.id: sample for sample in samples}
        return len(known)

    async def post(self, path: str, body: Any) -> Any:
        """`POST /usage`."""
        assert path == "/usage"
        assert body["source"] == metering.SOURCE
        samples = [UsageSample.model_validate(sample) for sample in body["samples"]]
        self.by_rest += len(samples)
        return {"duplicates": self.take(samples)}

    def send(self, data: UsageReported, *, source: str) -> str:
        """A record of a producer."""
        assert source == metering.SOURCE
        self.by_kafka += len(data.samples)
        self.duplicates += self.take(list(data.samples))
        return "id"

    def flush(self) -> None:
        """Everything is delivered."""

    async def get(self, path: str, **query: str) -> Any:
        """`GET /usage`."""
        assert path == "/usage"
        assert query["from"] == "2026-03-01"
        counted = list(self.seen.values())[self.lost :]
        totals = [{"meter": meter.value, "total": sum(sample.amounts[meter] for sample in counted)} for meter in Meter]
        return {"meters": totals, "duplicates": self.duplicates}


def till_of(name: str) -> tuple[Tenant, Till]:
    """A tenant whose samples are counted in a till."""
    till = Till()
    return Tenant(name, "00000000-0000-0000-0000-000000000001", cast(Any, till), cast(Any, till)), till


def trace_of(count: int) -> Trace:
    """Requests of different sizes."""
    return Trace(
        [
            UsageSample(
                id=f"request-{number}",
                time=NOON + timedelta(seconds=number),
                amounts={Meter.INPUT_TOKENS: number, Meter.OUTPUT_TOKENS: 1, Meter.API_CALLS: 1},
            )
            for number in range(count)
        ]
    )


async def test_a_trace_goes_out_over_both_tenants_half_by_each_way_and_a_twentieth_of_it_twice() -> None:
    (acme, first), (globex, second) = till_of("acme"), till_of("globex")
    sent = await send_trace(trace_of(2000), [acme, globex])
    for till in (first, second):
        assert len(till.seen) == 1000
        assert (till.by_rest, till.by_kafka) == (525, 525)
    assert sent.again == 2000 // SENT_TWICE
    assert set(first.seen).isdisjoint(second.seen)
    assert sent.duplicates + first.duplicates + second.duplicates == sent.again
    assert sent.duplicates not in (0, sent.again), "repetitions take both ways"


async def test_totals_are_exact_when_each_tenants_own_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(metering, "OVERSHOOT_SECONDS", 0.0)
    (one, till), trace = till_of("acme"), trace_of(100)
    sent = await send_trace(trace, [one])
    counted = await await_totals(trace, [one], sent)
    assert counted == Counted(trace.totals, sent.again, is_exact=True)
    till.lost = 1
    counted = await await_totals(trace, [one], sent)
    assert not counted.is_exact


def outcome(**changes: Any) -> Outcome:
    """A demo that went well."""
    world = World()
    world.first_revision(0)
    letters = (DeadLetter("schema", "m"), DeadLetter("signature", "f"))
    fields: dict[str, Any] = {
        "checks": {"1_tenants": True, "2_pool": True},
        "faults": {"1_tenants": [], "2_pool": []},
        "seconds": {"1_tenants": 1.25},
        "deployments": world.deployments,
        "counts": {"requested": 18, "promoted": 14, "rolled_back": 2, "rejected": 1},
        "counted": Counted({Meter.INPUT_TOKENS: 10, Meter.OUTPUT_TOKENS: 5, Meter.API_CALLS: 1}, 3, is_exact=True),
        "refusals": Refusals("quota-exceeded", "too much", "rejected", "too many", letters, letters, True),
        "placement_seconds": [0.1, 0.2, 0.3],
        "history": history_of(world.log),
        "answers": {200: 7, 404: 2, 0: 1},
    }
    return Outcome(**fields | changes)


def test_the_json_for_programs_has_the_agreed_fields() -> None:
    assert json.loads(as_json(outcome())) == {
        "deployments": {"requested": 18, "promoted": 14, "rolled_back": 2, "rejected": 1},
        "usage": {"input_tokens": 10, "output_tokens": 5, "duplicates": 3},
        "quota_rejections": 2,
        "dead_letters": 2,
        "end_to_end_seconds": {"p50": 0.2, "p99": 0.3},
        "checks": {"1_tenants": True, "2_pool": True},
    }
    assert "\n" not in as_json(outcome())


def test_a_demo_that_broke_off_still_has_all_fields() -> None:
    document = json.loads(as_json(Outcome(checks={"0_platform": False})))
    assert document["checks"] == {"0_platform": False}
    assert document["usage"] == {"input_tokens": 0, "output_tokens": 0, "duplicates": 0}
    assert set(document) == set(json.loads(as_json(outcome())))


def printed(what: Outcome) -> str:
    """What people see."""
    console = Console(file=StringIO(), width=160)
    show(what, console, "/logs")
    return cast(StringIO, console.file).getvalue()


def test_people_see_deployments_history_checks_and_where_the_logs_are() -> None:
    text = printed(outcome())
    for expected in (
        "chat-0",
        "Kafka",
        "asked for revision 1",
        "18 requested",
        "2 rolled back",
        "1 under way",
        "7 x 200",
        "2 x 404 (no route yet)",
        "1 x no answer",
        "/logs",
    ):
        assert expected in text
    assert re.search(r"\bNO\b", text) is None


def test_a_check_that_does_not_hold_says_why_and_markup_in_it_is_text() -> None:
    text = printed(outcome(checks={"4_canaries": False}, faults={"4_canaries": ["chat-0 went [red]astray[/red]"]}))
    assert "NO" in text
    assert "4: chat-0 went [red]astray[/red]" in text


class RunsNothing:
    """A platform that starts as a test says."""

    def __init__(self, state: Path) -> None:
        self.state_dir = state
        self.calls: list[str] = []
        made.append(self)

    def __getattr__(self, name: str) -> Any:
        def call() -> None:
            self.calls.append(name)
            if name == "up" and failures:
                raise failures[0]

        return call


made: list[RunsNothing] = []
failures: list[Exception] = []


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """What the story comes to; it is told on a platform that runs nothing."""
    made.clear()
    failures.clear()
    result = Outcome(checks={"1_tenants": True})

    class Told(Story):
        def __init__(self, *_: Any) -> None:
            self.outcome = result

        async def tell(self) -> Outcome:
            return result

    monkeypatch.setattr(command, "Platform", RunsNothing)
    monkeypatch.setattr(command, "Story", Told)
    return result


def options(tmp_path: Path, **changes: Any) -> Namespace:
    """The command line."""
    return Namespace(**{"state": tmp_path, "trace": tmp_path, "keep": False, "json": True} | changes)


@pytest.mark.parametrize(
    ("checks", "status"), [({"1": True}, 0), ({"1": True, "2": False}, 1), ({}, 1)], ids=["all", "not all", "none"]
)
def test_the_exit_status_is_0_only_if_each_step_was_checked(
    told: Outcome,
    checks: dict[str, bool],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told.checks = checks
    monkeypatch.setattr(command, "arguments", lambda: options(tmp_path))
    assert command.main() == status
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["checks"] == checks


@pytest.mark.parametrize(
    ("failure", "words"),
    [(PartMissing("redis: install redis-server"), "install redis-server"), (ZeroDivisionError("bug"), "Traceback")],
)
def test_a_platform_that_does_not_start_is_told_stopped_and_no_success(
    told: Outcome, failure: Exception, words: str, tmp_path: Path
) -> None:
    failures.append(failure)
    console = Console(file=StringIO(), width=160)
    result = command.run(options(tmp_path), console)
    assert words in cast(StringIO, console.file).getvalue()
    assert not all(result.checks.values())
    assert made[0].calls == ["destroy", "up", "down"]


def test_what_is_to_be_kept_is_not_stopped(told: Outcome, tmp_path: Path) -> None:
    command.run(options(tmp_path, keep=True), Console(file=StringIO()))
    assert made[0].calls == ["destroy", "up"]
