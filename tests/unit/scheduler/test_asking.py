"""What a deployment's first stage and a later stage ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from schemas.deployment import DeploymentRequested, DeploymentSpec
from services.scheduler.domain.asking import request_of
from services.scheduler.domain.model import Request
from tests.fakes.scheduler.builders import NOW, TEAM, entry, gpus, identity, node, reserve, tenant
from tests.fakes.scheduler.pool import Pool


def first_stage(revision: int = 1, **spec: Any) -> Request:
    data = DeploymentRequested(
        deployment_id=identity("d"),
        revision=revision,
        spec=DeploymentSpec(name="chat", model="llama", version="v1", resources=gpus(2), **{"replicas": 4} | spec),
        reservation_id=identity("r"),
        first_stage_replicas=3,
    )
    pool = Pool(node("n"), tenant())
    pool.snapshot.now = NOW
    return request_of(pool.snapshot, entry(data))


def test_a_first_stage_asks_for_its_replicas() -> None:
    request = first_stage(priority=7, start_within_seconds=60, expected_seconds=90)
    assert (request.replicas, request.stage, request.revision, request.gpu_milli) == (3, 0, 1, 6000)
    assert (request.tenant_id, request.priority, request.pool) == (TEAM, 7, "default")
    assert (request.start_by, request.expected) == (NOW + timedelta(seconds=60), timedelta(seconds=90))


@pytest.mark.parametrize(("revision", "is_surge"), [(1, False), (2, True)])
def test_a_later_revision_is_a_surge_beside_the_one_before(revision: int, is_surge: bool) -> None:
    assert first_stage(revision).is_surge is is_surge


@pytest.mark.parametrize(("most", "is_preemptible"), [(None, True), (8, False)])
def test_the_minimum_of_what_may_grow_is_not_preemptible(most: int | None, is_preemptible: bool) -> None:
    assert first_stage(preemptible=True, max_replicas=most).preemptible is is_preemptible


def test_a_later_stage_asks_for_what_the_deployer_says() -> None:
    data = reserve("r", gpus(1), replicas=2, priority=3, preemptible=True, is_surge=True, is_elastic=True, stage=2)
    pool = Pool(node("n"), tenant())
    request = request_of(pool.snapshot, entry(data))
    assert (request.stage, request.replicas, request.priority) == (2, 2, 3)
    assert (request.preemptible, request.is_surge, request.is_elastic) == (True, True, True)
    assert (request.start_within, request.expected, request.start_by) == (None, None, None)
    assert (request.arrival, request.asked_at) == (pool.snapshot.applied, pool.snapshot.now)
