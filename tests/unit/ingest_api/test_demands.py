"""What people may ask GPUs for, by REST and by Kafka: what passes, and which field is told of what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.deployment import DeploymentRejected, DeploymentRequested, DeployModel
from schemas.envelope import parse_data
from schemas.errors import FieldError, SchemaError
from services.ingest_api.domain.amounts import devices_of
from tests.fakes.ingest_api.application import OPERATOR
from tests.fakes.ingest_api.builders import HALF_GPU, TENANT, event, spec
from tests.fakes.ingest_api.front import SPEC, Front, problem

POD = {"cpu_milli": 1000, "memory_mib": 1024}
RESOURCES = SPEC["resources"]
assert isinstance(RESOURCES, dict)
ARABIC_ONE = "\N{ARABIC-INDIC DIGIT ONE}"


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("500m", (1, 500)),
        ("0.5", (1, 500)),
        ("1", (1, 1000)),
        ("1000m", (1, 1000)),
        ("8", (8, 1000)),
        ("2000m", (2, 1000)),
        ("0", (0, 0)),
        ("0.001", (1, 1)),
    ],
)
async def test_gpus_as_people_write_them(front: Front, text: str, devices: tuple[int, int]) -> None:
    assert devices_of(text, "gpu") == devices
    await front.deploy(resources=POD | {"gpu": text})
    (said,) = front.said(DeploymentRequested)
    assert (said.data.spec.resources.gpu_count, said.data.spec.resources.gpu_milli) == devices


@pytest.mark.parametrize(
    "text", ["", "one", "-1", "1.5", "1500m", "9", "0.0001", "1e3", "\N{ARABIC-INDIC DIGIT ONE}", "1 ", "1\n", 1, None]
)
def test_what_is_no_amount_of_gpus(text: object) -> None:
    with pytest.raises(FieldError) as caught:
        devices_of(text, "gpu")
    assert caught.value.field == "gpu"


async def test_a_slice_counts_as_its_share(front: Front) -> None:
    await front.deploy(resources=POD | {"mig_profile": "3g.40gb", "gpu_models": ["H100"]})
    (said,) = front.said(DeploymentRequested)
    resources = said.data.spec.resources
    assert (resources.gpu_count, resources.gpu_milli, resources.mig_profile) == (1, 428, "3g.40gb")


async def test_a_deployment_that_grows_gangs_and_makes_room(front: Front) -> None:
    asked = {"max_replicas": 9, "preemptible": True, "start_within_seconds": 60, "expected_seconds": 3600}
    gang = POD | {"gpu": "8", "workers": 4, "topology": "same-zone"}
    deployment_id = await front.deploy(resources=gang, **asked)
    (said,) = front.said(DeploymentRequested)
    assert said.data.spec.model_dump(include=set(asked)) == asked
    assert (said.data.spec.resources.workers, said.data.spec.resources.topology) == (4, "same-zone")
    shown = await front.get(f"/deployments/{deployment_id}")
    assert asked.items() <= shown["spec"].items()
    await front.deploy(name="again", resources=RESOURCES)


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"resources": RESOURCES | {"gpu_count": 9, "gpu_milli": 1000}}, ["/resources/gpu_count"]),
    ({"resources": RESOURCES | {"gpu_count": -1}}, ["/resources/gpu_count"]),
    ({"resources": RESOURCES | {"gpu_milli": 1001}}, ["/resources/gpu_milli"]),
    ({"resources": RESOURCES | {"gpu_milli": 0}}, ["/resources/gpu_milli"]),
    ({"resources": RESOURCES | {"gpu_milli": -1}}, ["/resources/gpu_milli"]),
    ({"resources": RESOURCES | {"gpu_count": 2}}, ["/resources/gpu_milli"]),
    ({"resources": POD | {"gpu_count": 0, "gpu_milli": 5}}, ["/resources/gpu_milli"]),
    ({"resources": POD}, ["/resources/gpu_count", "/resources/gpu_milli"]),
    ({"resources": RESOURCES | {"cpu_milli": -1}}, ["/resources/cpu_milli"]),
    ({"resources": RESOURCES | {"memory_mib": -1}}, ["/resources/memory_mib"]),
    ({"resources": RESOURCES | {"workers": 0}}, ["/resources/workers"]),
    ({"resources": RESOURCES | {"workers": 65}}, ["/resources/workers"]),
    ({"resources": RESOURCES | {"topology": "moon"}}, ["/resources/topology"]),
    ({"resources": RESOURCES | {"gpu_models": [""]}}, ["/resources/gpu_models/0"]),
    ({"resources": POD | {"mig_profile": "9g.90gb"}}, ["/resources/mig_profile"]),
    ({"resources": RESOURCES | {"mig_profile": "1g.10gb"}}, ["/resources/gpu_milli"]),
    ({"replicas": 0}, ["/replicas"]),
    ({"replicas": -3}, ["/replicas"]),
    ({"max_replicas": 3}, ["/max_replicas"]),
    ({"max_replicas": 0}, ["/max_replicas"]),
    ({"start_within_seconds": 0}, ["/start_within_seconds"]),
    ({"expected_seconds": -1}, ["/expected_seconds"]),
    ({"priority": 1001}, ["/priority"]),
    ({"canary": {"weights": [50, 10]}}, ["/canary/weights"]),
]
IDS = [" ".join(pointers) + str(number) for number, (_, pointers) in enumerate(BAD)]


@pytest.mark.parametrize(("changes", "pointers"), BAD, ids=IDS)
async def test_an_impossible_request_is_refused_with_the_field_named(
    front: Front, changes: dict[str, Any], pointers: list[str]
) -> None:
    assert problem(await front.send("POST", "/deployments", SPEC | changes)) == (422, "invalid-request", pointers)
    assert front.said() == []


@pytest.mark.parametrize(("changes", "pointers"), BAD, ids=IDS)
def test_a_record_that_asks_the_impossible_is_set_aside_with_the_field_named(
    changes: dict[str, Any], pointers: list[str]
) -> None:
    value = json.dumps({"tenant_id": str(TENANT), "spec": SPEC | changes}).encode()
    with pytest.raises(SchemaError) as caught:
        parse_data(DeployModel.type, value, lenient=False)
    assert caught.value.pointer == f"/spec{pointers[0]}"
    assert caught.value.message.startswith(f"/spec{pointers[0]}: ")


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (POD | {"gpu": "9"}, "at most 8 GPUs"),
        (POD | {"gpu": "1500m"}, "a share of one GPU, or whole GPUs"),
        (POD | {"gpu": 1}, "write an amount"),
        (RESOURCES | {"gpu": "1"}, "tell the GPUs once: as gpu, or as gpu_count"),
        (POD | {"gpu": "1", "mig_profile": "1g.10gb"}, "or as mig_profile"),
    ],
)
async def test_gpus_that_cannot_be_are_told_as_they_were_written(front: Front, resources: Any, said: str) -> None:
    answer = await front.send("POST", "/deployments", SPEC | {"resources": resources})
    assert problem(answer) == (422, "invalid-request", ["/resources/gpu"])
    assert said in answer.json()["errors"][0]["message"]


async def test_a_pod_without_cpu_is_refused_on_both_ways(front: Front) -> None:
    without = HALF_GPU.model_copy(update={"cpu_milli": 0})
    answer = await front.send("POST", "/deployments", SPEC | {"resources": without.model_dump(mode="json")})
    assert problem(answer) == (422, "invalid-request", ["/resources/cpu_milli"])
    asked = DeployModel(tenant_id=TENANT, spec=spec(resources=without))
    await front.ask(replace(event(asked), source="/ci"))
    (rejected,) = front.said(DeploymentRejected)
    assert [each.pointer for each in rejected.data.violations] == ["/resources/cpu_milli"]
    assert front.said(DeploymentRequested) == []


async def test_how_far_it_may_grow_can_change_and_end(front: Front) -> None:
    path = f"/deployments/{await front.deploy(max_replicas=6)}"
    assert problem(await front.send("PATCH", path, {"replicas": 7})) == (422, "invalid-request", ["/max_replicas"])
    assert problem(await front.send("PATCH", path, {"max_replicas": 3})) == (422, "invalid-request", ["/max_replicas"])
    for body, grows_to in (({"replicas": 7, "max_replicas": 9}, 9), ({"max_replicas": None}, None)):
        assert (await front.send("PATCH", path, body)).status_code == 202
        assert front.said(DeploymentRequested)[-1].data.spec.max_replicas == grows_to
    assert front.said(DeploymentRequested)[-1].data.spec.replicas == 7


async def test_the_same_request_written_otherwise_is_no_change(front: Front) -> None:
    await front.deploy(resources=POD | {"gpu": "500m"})
    again = SPEC | {"resources": POD | {"gpu_count": 1, "gpu_milli": 500}}
    (said,) = front.said(DeploymentRequested)
    asked = DeployModel(tenant_id=TENANT, spec=said.data.spec.model_validate(again))
    await front.ask(replace(event(asked), source="/ci"))
    (rejected,) = front.said(DeploymentRejected)
    assert rejected.data.code == "no-change"


SHARES = {
    "name": "team",
    "weight": 3,
    "gpu_quotas": [{"gpu_model": "A100", "guaranteed_milli": 4000, "borrowing_limit_milli": 2000}],
}


async def test_a_plan_has_shares_and_a_weight(front: Front) -> None:
    tenant_id = (await front.post("/tenants", {"name": "globex", "plan": SHARES}, credential=OPERATOR))["tenant_id"]
    shown = (await front.get(f"/tenants/{tenant_id}", credential=OPERATOR))["plan"]
    assert (shown["weight"], shown["gpu_quotas"]) == (
        3,
        [
            {
                "gpu_model": "A100",
                "guaranteed_milli": 4000,
                "borrowing_limit_milli": 2000,
                "lending_limit_milli": None,
            }
        ],
    )
    changed = await front.send("PUT", f"/tenants/{tenant_id}/quota", SHARES | {"weight": 7}, credential=OPERATOR)
    assert changed.json()["plan"]["weight"] == 7


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"weight": 0}, "/plan/weight"),
        ({"gpu_quotas": [{"guaranteed_milli": -1}]}, "/plan/gpu_quotas/0/guaranteed_milli"),
        ({"gpu_quotas": [{"guaranteed_milli": 1}, {"guaranteed_milli": 2}]}, "/plan/gpu_quotas"),
        ({"gpu_quotas": [{"gpu_model": "A100"}]}, "/plan/gpu_quotas/0/guaranteed_milli"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused_with_the_field_named(front: Front, changes: Any, pointer: str) -> None:
    answer = await front.send("POST", "/tenants", {"name": "globex", "plan": SHARES | changes}, credential=OPERATOR)
    assert problem(answer) == (422, "invalid-request", [pointer])


async def test_the_api_describes_what_may_be_asked(front: Front) -> None:
    shapes = front.application.app.openapi()["components"]["schemas"]
    described = shapes["AskedResources"]
    assert {"gpu", "mig_profile", "workers", "topology"} <= set(described["properties"])
    assert set(described["required"]) == {"cpu_milli", "memory_mib"}
    assert {"max_replicas", "preemptible"} <= set(shapes["AskedDeployment"]["properties"])
    assert "gpu" not in shapes["Resources"]["properties"], "what is answered is in milli"
