"""From options to the body that creates or changes a deployment."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from schemas.deployment import DeploymentSpec
from services.cli.specs import change_of, given, new_spec, resources_of

SPEC = DeploymentSpec.model_validate(
    {
        "name": "chat",
        "model": "llama",
        "version": "1.0",
        "replicas": 4,
        "resources": {"gpu_count": 1, "gpu_milli": 500, "cpu_milli": 4000, "memory_mib": 8192},
        "gates": {"max_error_rate": 0.01, "min_samples": 7},
    }
).model_dump(mode="json")
CURRENT = {"name": "chat", "spec": SPEC}


def test_what_was_not_given_is_left_out() -> None:
    assert given(a=None, b=[], c={}, d=0, e=0.0, f="") == {"d": 0, "e": 0.0, "f": ""}


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ((None, None, None, None), {}),
        (("500m", None, None, None), {"gpu_count": 1, "gpu_milli": 500}),
        (("0", None, "500m", "1Gi"), {"gpu_count": 0, "gpu_milli": 0, "cpu_milli": 500, "memory_mib": 1024}),
        ((None, ["A100"], "0", None), {"gpu_models": ["A100"], "cpu_milli": 0}),
    ],
)
def test_resources(options: tuple[Any, Any, Any, Any], body: dict[str, Any]) -> None:
    assert resources_of(*options) == body


def test_a_slice_says_itself_how_much_of_a_gpu_it_is() -> None:
    asked = resources_of(None, None, None, None, "1g.10gb", 2, "same-zone")
    assert asked == {"mig_profile": "1g.10gb", "workers": 2, "topology": "same-zone"}
    spec = DeploymentSpec.model_validate(new_spec("chat", {"model": "llama", "version": "1.0", "resources": asked}))
    assert (spec.resources.gpu_count, spec.resources.gpu_milli, spec.resources.cpu_milli) == (1, 142, 1000)
    with pytest.raises(typer.BadParameter, match="leave --gpu out"):
        resources_of("1", None, None, None, "1g.10gb")


def test_a_new_deployment_gets_the_resources_that_were_not_given() -> None:
    body = new_spec("chat", {"model": "llama", "version": "1.0", "resources": {"gpu_count": 2, "gpu_milli": 1000}})
    spec = DeploymentSpec.model_validate(body)
    assert (spec.resources.gpu_count, spec.resources.cpu_milli, spec.resources.memory_mib) == (2, 1000, 1024)
    assert DeploymentSpec.model_validate(new_spec("chat", {"model": "llama", "version": "1.0"}))


@pytest.mark.parametrize(("asked", "missing"), [({}, "--model and --version"), ({"model": "m"}, "needs --version")])
def test_a_new_deployment_needs_a_model_and_a_version(asked: dict[str, Any], missing: str) -> None:
    with pytest.raises(typer.BadParameter, match=missing):
        new_spec("chat", asked)


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        ({"version": "2.0"}, {"version": "2.0"}),
        ({"version": "2.0", "model": "llama", "pool": "default"}, {"version": "2.0"}),
        ({"version": "2.0", "resources": {"gpu_count": 1, "gpu_milli": 500}}, {"version": "2.0"}),
        ({"replicas": 6}, {"replicas": 6}),
        ({"max_replicas": 9}, {"max_replicas": 9}),
        ({"version": "2.0", "preemptible": False}, {"version": "2.0"}),
        ({"gates": {"min_samples": 9}}, {"gates": SPEC["gates"] | {"min_samples": 9}}),
        ({"canary": {"weights": [100]}}, {"canary": SPEC["canary"] | {"weights": [100]}}),
    ],
)
def test_a_change_names_what_may_change_and_keeps_the_rest(asked: dict[str, Any], body: dict[str, Any]) -> None:
    assert change_of(CURRENT, asked) == body


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"version": "2.0", "model": "other"}, "other model"),
        ({"version": "2.0", "resources": {"cpu_milli": 1}, "priority": 7}, "other resources, priority"),
        ({"version": "2.0", "preemptible": True}, "other preemptible"),
        ({}, "name what to change"),
        ({"model": "llama"}, "name what to change"),
    ],
)
def test_what_cannot_change_is_not_silently_dropped(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        change_of(CURRENT, asked)


def test_a_deployment_whose_request_is_not_read_back_yet_can_be_changed() -> None:
    assert change_of({"name": "chat", "spec": None}, {"gates": {"min_samples": 9}}) == {"gates": {"min_samples": 9}}
