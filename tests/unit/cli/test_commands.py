"""Each command: what it asks of the API, and what it shows of the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.deployment_text import why_text
from services.ingest_api.domain.reservation import words_of
from services.ingest_api.domain.view import Refusal, State
from services.ingest_api.entrypoints.http.routers.capacity import Capacity
from services.ingest_api.entrypoints.http.routers.deployment_views import Explained, Placement
from services.ingest_api.entrypoints.http.routers.keys import CreatedKey
from services.ingest_api.entrypoints.http.routers.platform import GroupLag, Lag
from services.ingest_api.entrypoints.http.routers.quota import QuotaState
from services.ingest_api.entrypoints.http.routers.rollouts import RolloutView
from services.ingest_api.usecases.quota import LimitState
from services.ingest_api.usecases.usage import DayTotal, MeterTotals, UsageTotals
from tests.unit.cli.door import Answer, Door, refusal, taxiway
from tests.unit.cli.events import DEPLOYMENT, NOON
from tests.unit.cli.resources import (
    KEY,
    MODEL,
    NODE,
    PLAN,
    PRODUCER,
    RESERVED,
    ROLLOUT,
    TENANT,
    TENANT_ID,
    VERSION,
    WAITING,
    entry,
    shown,
)

AS_OF = shown().as_of
CREATED = CreatedKey(**KEY.model_dump(), token="tw_live_k1_secret")
ROLLOUT_VIEW = RolloutView(
    state=State.QUEUED, rollout=ROLLOUT, waiting=WAITING, stable_revision=1, stable_version="1.0", as_of=AS_OF
)
USAGE = UsageTotals(
    first_day=NOON.date(),
    last_day=NOON.date(),
    meters=(MeterTotals(meter="input_tokens", total=12345, days=(DayTotal(day=NOON.date(), total=12345),)),),
    duplicates=2,
)
LIMIT = LimitState(meter="input_tokens", window="day", limit=1000, settled=400, held=100, remaining=500, reset=NOON)
LAGGING = GroupLag(
    topic="t",
    partition=3,
    group="g",
    committed=None,
    end=9,
    offsets_behind=9,
    oldest_seconds=1.25,
    age_at_commit_seconds=None,
)
LAG = Lag(
    measured_at=NOON,
    lags=(LAGGING, LAGGING.model_copy(update={"group": "quick", "offsets_behind": 0, "age_at_commit_seconds": 0.012})),
    dead_letters={"t.dlq.g": 4, "t.dlq.quick": 0},
)
CAPACITY = Capacity(gpu_total_milli=8000, gpu_used_milli=1500, nodes=(NODE,))
PLACEMENT = Placement(
    words=words_of(RESERVED),
    reservations=(Explained(**dict(RESERVED), words=words_of(RESERVED)),),
    refusal=None,
    as_of=AS_OF,
)
REFUSED = PLACEMENT.model_copy(update={"refusal": Refusal(code="TooLargeForPool", detail="no node has 9")})
NOTHING_HELD = Placement(
    words="chat is requested: it holds no GPUs and waits for none.", reservations=(), refusal=None, as_of=AS_OF
)
D, T = f"/deployments/{DEPLOYMENT}", f"/tenants/{TENANT_ID}"

READS: list[tuple[str, dict[str, Answer], list[str]]] = [
    ("tenants list", {"GET /tenants": [TENANT]}, ["acme", "team", "2.5", "1,000 input_tokens a day"]),
    ("tenants show acme", {"GET /tenants": [TENANT], f"GET {T}": TENANT}, [str(TENANT_ID), "2026-03-01 12:00:00.000"]),
    (f"tenants show {TENANT_ID}", {f"GET {T}": TENANT}, ["acme"]),
    ("keys list acme", {"GET /tenants": [TENANT], f"GET {T}/keys": [KEY]}, ["k1", "admin, read", "user:root"]),
    ("models list", {"GET /models": [MODEL]}, ["llama", "a [bold]model[/bold]"]),
    ("models show llama", {"GET /models/llama": MODEL, "GET /models/llama/versions": [VERSION]}, ["versions", "1.0"]),
    ("producers list", {"GET /producers": [PRODUCER]}, ["p1", "x" * 43, "tenant"]),
    (
        "deployments list --state rolling_out --model llama --limit 5",
        {"GET /deployments?limit=5&state=rolling_out&model=llama": [shown()]},
        ["chat", "rolling_out", "revision 2 progressing, stage 0: 7 % of traffic, 1 ready"],
    ),
    (
        "deployments show chat",
        {"GET /deployments": [shown()], f"GET {D}": shown()},
        ["stage 0: Fail, error rate 20 %", "taxiway.rollout.events.v1/0/4", "0.5"],
    ),
    (
        f"placement {DEPLOYMENT}",
        {f"GET {D}/placement": PLACEMENT},
        [
            "1.5",
            "node-1[0,3]",
            "the tightest devices that fit",
            "87",
            "node-7 (score 3): it would leave a hole",
            "waits at position 3 (NoFreeCapacity): 1.5 GPUs are free; should start about 2026-03-01 12:05:00.000",
            "1, 2 (NodeRemoved): node-9 is gone",
            "0 (Priority): 8 GPUs are needed",
            "17 of pool default by packing 1, 2026-03-01 12:00:00.000, for taxiway.deployment.events.v1/0/0",
        ],
    ),
    (f"placement {DEPLOYMENT}", {f"GET {D}/placement": REFUSED}, ["1.5", "refused (TooLargeForPool): no node has 9"]),
    (
        "deployments placement chat",
        {"GET /deployments": [shown()], f"GET {D}/placement": NOTHING_HELD},
        ["chat is requested: it holds no GPUs and waits for none."],
    ),
    (
        f"rollout show {DEPLOYMENT}",
        {f"GET {D}/rollout": ROLLOUT_VIEW},
        ["10, 100", "waits at position 3 (NoFreeCapacity): 1.5 GPUs are free"],
    ),
    (
        f"history {DEPLOYMENT}",
        {f"GET {D}/history": [entry(1, "ann asked"), entry(2, "it went on")]},
        ["ann asked", "service:deployer", "taxiway.rollout.events.v1/0/2"],
    ),
    (
        "usage show --from 2026-03-01 --to 2026-03-02 --meter input_tokens",
        {"GET /usage?from=2026-03-01&to=2026-03-02&meter=input_tokens": USAGE},
        ["12,345", "2026-03-01 12,345", "2 samples came again and count once"],
    ),
    ("usage show", {"GET /usage": USAGE}, ["input_tokens"]),
    ("quota show", {"GET /quota": QuotaState(plan=PLAN, limits=(LIMIT,))}, ["1,000", "400", "500", "plan team"]),
    ("lag", {"GET /lag": LAG}, ["quick", "1.2", "0.012", "t.dlq.g", "4 dead letters"]),
    ("capacity --pool gpus", {"GET /capacity?pool=gpus": CAPACITY}, ["node-1", "64", "1.5 of 8 GPUs"]),
]


@pytest.mark.parametrize(("command", "answers", "told"), READS, ids=[each[0] for each in READS])
def test_reading(command: str, answers: dict[str, Answer], told: list[str]) -> None:
    outcome = taxiway(*command.split(), door=Door(answers))
    assert outcome.status == 0, outcome.err
    for text in told:
        assert text in outcome.out


@pytest.mark.parametrize(("command", "answers", "told"), READS, ids=[each[0] for each in READS])
def test_reading_for_programs(command: str, answers: dict[str, Answer], told: list[str]) -> None:
    outcome = taxiway(*command.split(), "--json", door=Door(answers))
    assert outcome.status == 0, outcome.err
    assert isinstance(outcome.json, dict | list)
    assert outcome.out.isascii()


Write = tuple[str, dict[str, Answer], Any, list[str]]
"""Command, answers, the body that must be sent, what is told."""


def told_rollout(command: str, **more: bool) -> Write:
    """A command to the rollout."""
    verb = command.partition(" ")[0]
    told = f"asked to {verb} the rollout of chat: why"
    body = {"reason": "why"} | more
    return f"rollout {command} {DEPLOYMENT} --reason why", {f"POST {D}/rollout/{verb}": shown()}, body, [told]


WRITES: list[Write] = [
    (
        "tenants create acme --plan-name team --max-gpu-milli 2500 --max-waiting-requests 40 --max-models 3"
        " --limit input_tokens:day:1000 --gpu-quota A100:4:2:500m --gpu-quota :0.5 --weight 3",
        {"POST /tenants": TENANT},
        {
            "name": "acme",
            "plan": {
                "name": "team",
                "max_concurrent_gpu_milli": 2500,
                "max_waiting_requests": 40,
                "max_models": 3,
                "limits": [{"meter": "input_tokens", "window": "day", "amount": 1000}],
                "gpu_quotas": [
                    {
                        "gpu_model": "A100",
                        "guaranteed_milli": 4000,
                        "borrowing_limit_milli": 2000,
                        "lending_limit_milli": 500,
                    },
                    {"gpu_model": "", "guaranteed_milli": 500},
                ],
                "weight": 3,
            },
        },
        [
            "acme",
            str(TENANT_ID),
            "waiting requests",
            "40",
            "A100 4 guaranteed, borrows up to 2, lends up to 0.5, any 0.5 guaranteed",
        ],
    ),
    (
        f"tenants plan {TENANT_ID} --weight 7 --max-waiting-requests 0 --gpu-quota A100:1::0",
        {f"GET {T}": TENANT, f"PUT {T}/quota": TENANT},
        PLAN.model_dump(mode="json")
        | {
            "weight": 7,
            "max_waiting_requests": 0,
            "gpu_quotas": [{"gpu_model": "A100", "guaranteed_milli": 1000, "lending_limit_milli": 0}],
        },
        ["acme"],
    ),
    ("tenants create acme", {"POST /tenants": TENANT}, {"name": "acme", "plan": {"name": "custom"}}, ["acme"]),
    (
        f"tenants suspend {TENANT_ID} --reason unpaid",
        {f"POST {T}/suspend": TENANT},
        {"reason": "unpaid"},
        ["acme is suspended: unpaid"],
    ),
    (
        f"tenants resume {TENANT_ID} --reason paid",
        {f"POST {T}/resume": TENANT},
        {"reason": "paid"},
        ["acme may start new work again"],
    ),
    (
        f"keys create {TENANT_ID} ci",
        {f"POST {T}/keys": CREATED},
        {"name": "ci", "scopes": ["admin"], "expires_at": None},
        ["tw_live_k1_secret"],
    ),
    (
        f"keys create {TENANT_ID} ci --scope read --scope usage --expires-at 2027-01-01",
        {f"POST {T}/keys": CREATED},
        {"name": "ci", "scopes": ["read", "usage"], "expires_at": "2027-01-01T00:00:00+00:00"},
        ["ci"],
    ),
    (
        "models register llama --description big",
        {"POST /models": MODEL},
        {"name": "llama", "description": "big"},
        ["llama"],
    ),
    (
        "models version llama 1.0 --artifact s3://x --size-mib 7",
        {"POST /models/llama/versions": VERSION},
        {"version": "1.0", "artifact": "s3://x", "size_mib": 7},
        ["12,345"],
    ),
    told_rollout("pause"),
    told_rollout("resume"),
    told_rollout("abort"),
    told_rollout("promote", full=False),
    told_rollout("promote --full", full=True),
]


@pytest.mark.parametrize(("command", "answers", "body", "told"), WRITES, ids=[each[0] for each in WRITES])
def test_writing(command: str, answers: dict[str, Answer], body: Any, told: list[str]) -> None:
    door = Door(answers)
    outcome = taxiway(*command.split(), door=door)
    assert outcome.status == 0, outcome.err
    assert door.body == body
    for text in told:
        assert text in outcome.out
    assert taxiway(*command.split(), "--json", door=Door(answers)).json


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (f"keys revoke {TENANT_ID} k1", f"{T}/keys/k1"),
        ("producers revoke p1 --reason lost", "/producers/p1?reason=lost"),
        ("producers revoke p1", "/producers/p1"),
        (f"deployments delete {DEPLOYMENT} --reason old", f"{D}?reason=old"),
    ],
)
def test_removing(command: str, asked: str) -> None:
    door = Door({f"DELETE {asked}": shown() if "deployments" in command else None})
    outcome = taxiway(*command.split(), door=door)
    assert outcome.status == 0, outcome.err
    assert door.asked == [("DELETE", asked)]


def test_a_plan_from_a_file_and_options_on_top_of_it(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(PLAN.model_dump_json())
    door = Door({"POST /tenants": TENANT})
    taxiway("tenants", "create", "acme", "--plan", str(file), "--max-models", "9", door=door)
    assert door.body["plan"] == PLAN.model_dump(mode="json") | {"max_models": 9}


def test_a_plan_from_a_file_replaces_the_tenants(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text('{"name": "small"}')
    door = Door({f"PUT {T}/quota": TENANT})
    assert taxiway("tenants", "plan", str(TENANT_ID), "--plan", str(file), "--weight", "2", door=door).status == 0
    assert door.body == {"name": "small", "weight": 2}


def test_a_new_deployment_of_slices_that_grows_and_can_be_drained() -> None:
    door = Door({"GET /deployments": [], "POST /deployments": shown(State.REQUESTED)})
    options = "--model llama --version 1.0 --mig 1g.10gb --max-replicas 8 --preemptible --start-within-seconds 60"
    more = "--expected-seconds 3600 --workers 2 --topology same-zone"
    assert taxiway("deploy", "chat", *options.split(), *more.split(), door=door).status == 0
    assert door.body == {
        "name": "chat",
        "model": "llama",
        "version": "1.0",
        "resources": {
            "cpu_milli": 1000,
            "memory_mib": 1024,
            "mig_profile": "1g.10gb",
            "workers": 2,
            "topology": "same-zone",
        },
        "max_replicas": 8,
        "preemptible": True,
        "start_within_seconds": 60,
        "expected_seconds": 3600,
    }


def test_a_new_deployment_is_created() -> None:
    door = Door({"GET /deployments": [shown(State.REMOVED)], "POST /deployments": shown(State.REQUESTED)})
    options = "--model llama --version 1.0 --replicas 4 --gpu 500m --gpu-model A100 --cpu 4 --memory 8Gi --pool p"
    canary = "--priority 7 --weights 50,100 --observe-seconds 2.5 --max-error-rate 0.1 --min-samples 5"
    outcome = taxiway("deploy", "chat", *options.split(), *canary.split(), door=door)
    assert outcome.status == 0, outcome.err
    assert door.body == {
        "name": "chat",
        "model": "llama",
        "version": "1.0",
        "replicas": 4,
        "resources": {
            "gpu_count": 1,
            "gpu_milli": 500,
            "gpu_models": ["A100"],
            "cpu_milli": 4000,
            "memory_mib": 8192,
        },
        "priority": 7,
        "pool": "p",
        "canary": {"weights": [50, 100], "observe_seconds": 2.5},
        "gates": {"max_error_rate": 0.1, "min_samples": 5},
    }
    assert "taxiway deployments watch chat" in outcome.out


def test_an_existing_name_gets_a_new_revision() -> None:
    door = Door({"GET /deployments": [shown()], f"PATCH {D}": shown(State.REQUESTED)})
    outcome = taxiway("deploy", "chat", "--version", "2.0", "--gpu", "500m", "--json", door=door)
    assert (door.body, outcome.json["state"]) == ({"version": "2.0"}, "requested")


def test_a_name_means_the_deployment_that_has_it_now() -> None:
    old = shown(State.REMOVED, deployment_id=TENANT_ID)
    door = Door({"GET /deployments": [old, shown()], f"GET {D}": shown()})
    assert taxiway("deployments", "show", "chat", door=door).status == 0
    gone = Door({"GET /deployments": [old], f"GET /deployments/{TENANT_ID}": old})
    assert taxiway("deployments", "show", "chat", door=gone).status == 0


@pytest.mark.parametrize(
    ("command", "listing", "told"),
    [
        ("deployments show nope", "/deployments", "there is no deployment nope"),
        ("tenants show nope", "/tenants", "there is no tenant nope"),
    ],
)
def test_a_name_that_nobody_has(command: str, listing: str, told: str) -> None:
    outcome = taxiway(*command.split(), door=Door({f"GET {listing}": []}))
    assert outcome.status == 1
    assert told in outcome.err


@pytest.mark.parametrize(
    "command",
    [
        "tenants create",
        "tenants create a --limit input_tokens",
        "tenants create a --gpu-quota A100",
        "tenants create a --gpu-quota A100:1:2:3:4",
        "tenants create a --gpu-quota A100:much",
        "tenants plan a",
        "deploy chat --gpu 1 --mig 1g.10gb",
        "tenants create a --plan /nonexistent.json",
        "tenants suspend a",
        "rollout pause chat",
        "usage show --from yesterday",
        "deployments list --limit 0",
        "deploy chat --gpu 1500m",
        "deploy chat --model llama",
        "fly away",
    ],
)
def test_wrong_usage(command: str) -> None:
    outcome = taxiway(*command.split(), door=Door({"GET /deployments": []}))
    assert (outcome.status, outcome.out) == (2, "")
    assert "Usage" in outcome.err


@pytest.mark.parametrize("content", ["[1]", "{", "7"])
def test_a_file_that_is_no_plan(tmp_path: Path, content: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content)
    assert taxiway("tenants", "create", "a", "--plan", str(file), door=Door({})).status == 2


def test_only_what_is_behind() -> None:
    outcome = taxiway("lag", "--behind", "--json", door=Door({"GET /lag": LAG}))
    assert [lag["group"] for lag in outcome.json["lags"]] == ["g"]


def test_dead_letter_topics_that_are_empty_are_not_listed() -> None:
    assert "t.dlq.quick" not in taxiway("lag", door=Door({"GET /lag": LAG})).out


def test_a_refused_reservation_says_why() -> None:
    refused = shown(State.REJECTED, refusal=Refusal(code="TooLargeForPool", detail="no node has 9"))
    assert why_text(json.loads(refused.model_dump_json())) == "refused (TooLargeForPool): no node has 9"


def test_a_suspended_tenant_is_told_so() -> None:
    door = Door({"GET /deployments": [], "POST /deployments": refusal(403, "Tenant suspended", detail="Ask.")})
    outcome = taxiway("deploy", "chat", "--model", "m", "--version", "1", door=door)
    assert outcome.status == 1
    assert outcome.err == "Tenant suspended (403)\n  Ask.\n"


def test_the_version() -> None:
    assert taxiway("--version").out == "0.1.0\n"
