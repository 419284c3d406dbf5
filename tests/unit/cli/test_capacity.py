"""`taxiway capacity`: what it asks, and what it shows of a small and of a large cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.cli.capacity_text import LEGEND, by_model, devices_text, holders_text
from services.ingest_api.domain.gpu_map import DeviceState
from services.ingest_api.entrypoints.http.routers.capacity import AllHints, Queues
from tests.unit.cli.capacities import (
    CODE,
    EMPTY,
    HINT,
    MIXED,
    NO_PLAN,
    PLAN,
    QUESTION,
    UNANSWERED,
    WHAT_IF,
    device,
    gpu_map,
    hints,
    holder,
    node,
    queue,
    waiter,
)
from tests.unit.cli.door import Answer, Door, taxiway
from tests.unit.cli.resources import TENANT, TENANT_ID

MAP = gpu_map(MIXED, EMPTY)
LARGE = gpu_map(*(node(f"n-{number}", device(0, DeviceState.FREE, 1000)) for number in range(41)))
RESOURCES = {"gpu_count": 1, "gpu_milli": 1000, "cpu_milli": 1000, "memory_mib": 1024}

READS: list[tuple[str, dict[str, Answer], list[str]]] = [
    (
        "capacity map --pool gpus",
        {"GET /capacity/map?pool=gpus": MAP},
        [
            ".8#Mx",
            "globex/code 1, acme/chat 0.642, others 0.3",
            ". !",
            LEGEND,
            "3.058 of 6 GPUs are free, 1 broken",
        ],
    ),
    (
        "capacity map --node node-1",
        {"GET /capacity/map?node=node-1": gpu_map(MIXED)},
        ["acme/chat 0.5 (replica 3), others 0.3", "acme/chat 1g.10gb@4 (replica 3.2)", "exclusive", "failed"],
    ),
    ("capacity map --model A100", {"GET /capacity/map?gpu_model=A100": LARGE}, ["A100", "41 nodes", "--list"]),
    ("capacity map --list", {"GET /capacity/map": LARGE}, ["n-0", "n-40", "41 of 41 GPUs are free"]),
    (
        "capacity queue --pool default",
        {"GET /capacity/queue?pool=default": Queues(queues=(queue(waiter(3)),))},
        [
            "chat",
            "acme",
            "Fragmented",
            "8 GPUs are free on no node",
            "12:05:00",
            "1,200 wait for 16 GPUs",
            "decision 17",
        ],
    ),
    ("capacity queue", {"GET /capacity/queue": Queues(queues=())}, ["position"]),
    (
        "capacity hints",
        {"GET /capacity/hints": AllHints(pools=(hints(HINT), hints()))},
        ["A100", "96", "786,432", "the head asks for 16 GPUs"],
    ),
    ("capacity hints", {"GET /capacity/hints": AllHints(pools=(hints(),))}, ["nothing waits"]),
    (
        f"capacity what-if --question {QUESTION}",
        {f"GET /capacity/what-if/{QUESTION}?wait=10s": WHAT_IF},
        [
            "placed-after-draining",
            "2 replicas would make room",
            "node-1[0:1g.10gb@4]",
            "node-7 (score 3): it would leave a hole",
            "1 replica of chat (1 GPU), 2 replicas of others (0.5 GPU)",
        ],
    ),
    (
        f"capacity what-if --question {QUESTION} --wait 0",
        {f"GET /capacity/what-if/{QUESTION}?wait=0s": UNANSWERED},
        [f"no answer yet; look again with: taxiway capacity what-if --question {QUESTION}"],
    ),
    (
        f"capacity defragment --question {QUESTION}",
        {f"GET /capacity/defragmentation/{QUESTION}?wait=10s": PLAN},
        ["one move", "chat", "node-1[1]", "node-2[0]", "0.5"],
    ),
    (
        f"capacity defragment --question {QUESTION}",
        {f"GET /capacity/defragmentation/{QUESTION}?wait=10s": NO_PLAN},
        ["no", "nothing can move"],
    ),
]


@pytest.mark.parametrize(("command", "answers", "told"), READS, ids=range(len(READS)))
def test_reading(command: str, answers: dict[str, Answer], told: list[str]) -> None:
    outcome = taxiway(*command.split(), door=Door(answers))
    assert outcome.status == 0, outcome.err
    for text in told:
        assert text in outcome.out


@pytest.mark.parametrize(("command", "answers", "told"), READS, ids=range(len(READS)))
def test_reading_for_programs(command: str, answers: dict[str, Answer], told: list[str]) -> None:
    outcome = taxiway(*command.split(), "--json", door=Door(answers))
    assert outcome.status == 0, outcome.err
    assert isinstance(outcome.json, dict)


ASKS: list[tuple[str, str, Any]] = [
    ("what-if", "/capacity/what-if?wait=10s", {"resources": RESOURCES}),
    (
        "what-if --gpus 500m --replicas 3 --priority 7 --preemptible --expected-seconds 60 --pool p --wait 1",
        "/capacity/what-if?wait=1s",
        {
            "replicas": 3,
            "resources": RESOURCES | {"gpu_milli": 500},
            "priority": 7,
            "preemptible": True,
            "expected_seconds": 60,
            "pool": "p",
        },
    ),
    (
        "what-if --mig 1g.10gb --model A100-80 --model H100 --cpu 500m --memory 2Gi",
        "/capacity/what-if?wait=10s",
        {
            "resources": {
                "mig_profile": "1g.10gb",
                "gpu_models": ["A100-80", "H100"],
                "cpu_milli": 500,
                "memory_mib": 2048,
            }
        },
    ),
    (
        f"defragment --gpu 8 --workers 4 --topology same-zone --tenant {TENANT_ID}",
        "/capacity/defragmentation?wait=10s",
        {
            "resources": RESOURCES | {"gpu_count": 8, "workers": 4, "topology": "same-zone"},
            "tenant_id": str(TENANT_ID),
        },
    ),
]


@pytest.mark.parametrize(("command", "path", "body"), ASKS, ids=range(len(ASKS)))
def test_asking(command: str, path: str, body: Any) -> None:
    door = Door({f"POST {path}": PLAN if "defrag" in path else WHAT_IF})
    outcome = taxiway("capacity", *command.split(), door=door)
    assert outcome.status == 0, outcome.err
    assert (door.asked, door.body) == ([("POST", path)], body)


def test_a_tenant_can_be_named() -> None:
    door = Door({"GET /tenants": [TENANT], "POST /capacity/what-if": WHAT_IF})
    assert taxiway("capacity", "what-if", "--tenant", "acme", door=door).status == 0
    assert door.body["tenant_id"] == str(TENANT_ID)


def test_a_request_from_a_file_and_options_on_top_of_it(tmp_path: Path) -> None:
    file = tmp_path / "demand.json"
    file.write_text(json.dumps({"replicas": 2, "priority": 5, "resources": RESOURCES}))
    door = Door({"POST /capacity/what-if": WHAT_IF})
    assert taxiway("capacity", "what-if", "--file", str(file), "--gpu", "2", "--priority", "9", door=door).status == 0
    assert door.body == {"replicas": 2, "priority": 9, "resources": RESOURCES | {"gpu_count": 2}}


@pytest.mark.parametrize("content", ["[1]", "{", '{"resources": 7}'])
def test_a_file_that_is_no_request(tmp_path: Path, content: str) -> None:
    file = tmp_path / "demand.json"
    file.write_text(content)
    outcome = taxiway("capacity", "what-if", "--file", str(file), door=Door({}))
    said = " ".join(outcome.err.replace("│", " ").split())  # it is wrapped where the path ends
    assert (outcome.status, "is not a request" in said) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        "what-if --gpu 1500m",
        "what-if --gpu 1 --mig 1g.10gb",
        "what-if --wait 26",
        "what-if --question no-uuid",
        "--pool p queue",
        "--json map",
        "fly",
    ],
)
def test_wrong_usage(command: str) -> None:
    outcome = taxiway("capacity", *command.split(), door=Door({}))
    assert (outcome.status, outcome.out) == (2, "")
    assert "Usage" in outcome.err


def test_a_node_that_is_not_there() -> None:
    outcome = taxiway("capacity", "map", "--node", "nope", door=Door({"GET /capacity/map": gpu_map()}))
    assert (outcome.status, outcome.out) == (1, "")
    assert "there is no node nope" in outcome.err


def test_a_devices_character_says_how_much_is_taken() -> None:
    shared = [device(0, DeviceState.SHARED, free) for free in (999, 900, 510, 1, 0)]
    assert devices_text(node("n", *shared).model_dump()) == "11499"


def test_many_holders_are_counted_rather_than_listed() -> None:
    held = [holder(number, deployment_id=UUID(int=number), deployment=f"d{number}") for number in range(1, 7)]
    text = holders_text([device(0, DeviceState.SHARED, 0, *held).model_dump()])
    assert text == "acme/d6 0.006, acme/d5 0.005, acme/d4 0.004, acme/d3 0.003, 2 more"


def test_a_deployment_without_a_name_is_told_by_its_id() -> None:
    nameless = holder(**CODE | {"deployment": None, "tenant": None})
    assert str(CODE["deployment_id"]) in holders_text([device(0, DeviceState.SHARED, 0, nameless).model_dump()])


def test_models_are_summed_with_the_largest_first() -> None:
    rows = by_model([each.model_dump() for each in (EMPTY, node("cpu", gpu_model=""), MIXED, MIXED)])
    assert [row["model"] for row in rows] == ["A100", "T4", "no GPU"]
    assert rows[0] == {
        "model": "A100",
        "nodes": 2,
        "devices": 10,
        "free_milli": 4116,
        "free": 2,
        "shared": 2,
        "exclusive": 2,
        "mig": 2,
        "failed": 2,
    }
