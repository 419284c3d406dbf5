"""Rows that another release wrote can be read: a pool whose stored requests cannot be loaded has no owner at all."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from schemas.resources import Allocation
from services.scheduler.adapters.requests import (
    allocations_json,
    claim_from,
    claim_json,
    request_from,
    request_json,
    reservation_from,
    seen_from,
    waiting_from,
)
from services.scheduler.adapters.rows import tenant_from
from services.scheduler.domain.model import Cause, Claim, Request, Victim
from services.scheduler.domain.nodes.shape import Seen, shape_of
from tests.fakes.scheduler.builders import NOW, TEAM, gpus, identity, quota

ASKED = Request(
    reservation_id=identity("a"),
    deployment_id=identity("d"),
    tenant_id=TEAM,
    revision=2,
    stage=1,
    replicas=3,
    resources=gpus(2, 1000, "A100"),
    pool="default",
    priority=100,
    arrival=7,
    asked_at=NOW,
    cause=Cause("i", "t/0/1", "{}"),
    preemptible=True,
    is_surge=True,
    is_elastic=True,
    start_within=timedelta(seconds=90),
    expected=timedelta(hours=2),
)
PLACES = (
    Allocation(replica=0, node="n1", devices=(0, 1), gpu_milli=1000),
    Allocation(replica=2, node="n2", devices=(4, 5), gpu_milli=1000),
)
OLD = ("revision", "stage", "replicas", "resources", "priority", "asked_at", "cause")
"""What the migration to whole reservations wrote of those that were there."""
NEWER = {"gpu_memory_mib": 80_000}
"""A field that this release does not know."""


def row(request: str = "", allocations: str = "[]", **more: Any) -> Any:
    """Of table `reservations`."""
    columns = {
        "reservation_id": ASKED.reservation_id,
        "deployment_id": ASKED.deployment_id,
        "tenant_id": ASKED.tenant_id,
        "pool": ASKED.pool,
        "arrival": ASKED.arrival,
        "request": request or request_json(ASKED),
        "allocations": allocations,
        "since": NOW,
        "is_lost": False,
        "waiting": [],
    }
    return cast(Any, SimpleNamespace(**columns | more))


def test_a_request_comes_back_whole() -> None:
    assert request_from(row()) == ASKED


def test_what_an_older_release_did_not_write_has_its_default() -> None:
    kept = {name: value for name, value in json.loads(request_json(ASKED)).items() if name in OLD}
    old = request_from(row(json.dumps(kept)))
    assert (old.replicas, old.resources, old.cause) == (3, ASKED.resources, ASKED.cause)
    assert (old.preemptible, old.is_surge, old.is_elastic, old.start_within, old.expected) == (
        *(False,) * 3,
        *(None,) * 2,
    )


def test_a_field_that_a_newer_release_added_is_ignored() -> None:
    kept = json.loads(request_json(ASKED))
    newer = json.dumps(kept | NEWER | {"resources": kept["resources"] | NEWER})
    places = json.dumps([each | NEWER for each in json.loads(allocations_json(PLACES))])
    held = reservation_from(row(newer, places))
    assert (held.request, held.allocations, held.since) == (ASKED, PLACES, NOW)
    resources = json.dumps(kept["resources"] | NEWER)
    seen = seen_from(cast(Any, SimpleNamespace(arrival=7, resources=resources, replicas=3)))
    assert seen == Seen(7, shape_of(ASKED.resources), 3)


def test_what_waits_of_a_reservation_says_whether_it_was_lost() -> None:
    waiting = waiting_from(row(waiting=[1], is_lost=True))
    assert (waiting.request, waiting.replicas, waiting.is_lost) == (ASKED, (1,), True)


def test_a_claim_comes_back_whole_and_with_a_newer_releases_fields() -> None:
    drains = Claim(ASKED.reservation_id, ASKED.resources, PLACES, (Victim(identity("b"), (0, 3)),), None)
    promise = Claim(ASKED.reservation_id, ASKED.resources, PLACES, (), NOW)
    for claim in (drains, promise):
        kept = json.loads(claim_json(claim))
        newer = json.dumps(kept | NEWER | {"resources": kept["resources"] | NEWER})
        for text in (claim_json(claim), newer):
            assert claim_from(cast(Any, SimpleNamespace(reservation_id=ASKED.reservation_id, claim=text))) == claim


def test_a_quota_of_a_newer_release_is_read() -> None:
    kept = json.dumps([quota(8000, 4000, 2000, "A100").model_dump() | NEWER])
    found = tenant_from(
        cast(
            Any,
            SimpleNamespace(
                tenant_id=TEAM, max_gpu_milli=None, is_suspended=True, weight=3, quotas=kept, max_waiting=7
            ),
        )
    )
    assert (found.quotas, found.weight, found.is_suspended) == ((quota(8000, 4000, 2000, "A100"),), 3, True)
    assert found.max_waiting == 7
