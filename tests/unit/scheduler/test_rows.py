"""Rows that another release wrote can be read: a pool whose stored requests cannot be loaded has no owner at all."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

from services.scheduler.adapters.requests import request_from
from tests.fakes.scheduler.builders import TEAM, gpus, identity


def row(resources: str) -> Any:
    """Of table `reservations`."""
    return cast(
        Any,
        SimpleNamespace(
            reservation_id=identity("a"),
            deployment_id=identity("d"),
            tenant_id=TEAM,
            revision=1,
            stage=0,
            replicas=1,
            resources=resources,
            pool="default",
            priority=100,
            arrival=7,
            input_id="i",
            input_position="t/0/1",
            origin="{}",
        ),
    )


def test_a_field_that_a_newer_release_added_is_ignored() -> None:
    newer = gpus(2).model_dump(mode="json") | {"gpu_memory_mib": 80_000}
    assert request_from(row(json.dumps(newer))).resources == gpus(2)
