"""Handlers record, in the right pool's log, with the cause; they decide nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from schemas.base import EventData
from schemas.catalogue import event_types
from schemas.envelope import Event
from schemas.tenant import PLATFORM_TENANT
from schemas.topics import SCHEDULER_QUEUE, topics_of
from services.kit.errors import PermanentError
from services.kit.messaging.origin import Origin
from services.scheduler.handlers import Intake, handler_table
from services.scheduler.ports import reservation_of
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    TEAM,
    event,
    identity,
    node,
    node_removed,
    plan_changed,
    release,
    requested,
    reserve,
    resumed,
    suspended,
    tenant,
)
from tests.fakes.scheduler.stores import InMemoryDatabase, InMemoryInputLog


class Desk:
    """Handlers of two pools on a log in memory."""

    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.woken: list[str] = []
        log = InMemoryInputLog(self.database)
        self.handlers = handler_table(Intake(log, ("default", "second"), self.woken.append))

    async def when(self, *events: Event[Any]) -> None:
        async with self.database.unit_of_work() as work:
            for each in events:
                await self.handlers[type(each.data)](each, work)
            assert self.woken == []

    def logged(self) -> list[tuple[str, EventData, UUID]]:
        return [(row.pool, row.entry.data, row.entry.tenant_id) for row in self.database.tables.inputs]


async def test_requests_go_to_the_pool_that_they_ask_for() -> None:
    intake = Desk()
    first, later = requested("a"), reserve("b", pool="second")
    await intake.when(event(first), event(later, OTHER_TEAM))
    assert intake.logged() == [("default", first, TEAM), ("second", later, OTHER_TEAM)]
    assert intake.woken == intake.database.notified == ["default", "second"]


async def test_a_request_for_a_pool_without_owner_goes_to_the_first_which_refuses_it() -> None:
    intake = Desk()
    await intake.when(event(reserve("a", pool="nowhere")))
    assert [pool for pool, _, _ in intake.logged()] == ["default"]


async def test_a_release_follows_its_request() -> None:
    intake = Desk()
    await intake.when(event(reserve("a", pool="second")), event(release("a")), event(release("unknown")))
    assert [pool for pool, _, _ in intake.logged()] == ["second", "second", "default"]


async def test_a_release_does_not_find_another_tenants_request() -> None:
    intake = Desk()
    await intake.when(event(reserve("a", pool="second"), OTHER_TEAM), event(release("a"), TEAM))
    assert [pool for pool, _, _ in intake.logged()] == ["second", "default"]


@pytest.mark.parametrize("data", [node("n1"), node_removed("n1")])
async def test_every_pool_is_told_of_nodes(data: EventData) -> None:
    intake = Desk()
    await intake.when(event(data, None))
    assert intake.logged() == [("default", data, PLATFORM_TENANT), ("second", data, PLATFORM_TENANT)]
    assert intake.woken == ["default", "second"]


@pytest.mark.parametrize("data", [tenant(), plan_changed(5), suspended(), resumed()])
async def test_every_pool_is_told_of_tenants(data: EventData) -> None:
    intake = Desk()
    await intake.when(event(data))
    assert intake.logged() == [("default", data, TEAM), ("second", data, TEAM)]


async def test_the_cause_is_kept_for_the_audit() -> None:
    intake = Desk()
    given = event(reserve("a"), id="e-1", correlationid="root", traceparent="00-1-2-01")
    await intake.when(given)
    cause = intake.database.tables.inputs[0].entry.cause
    assert (cause.input_id, cause.input_position) == ("e-1", str(given.position))
    assert Origin.from_json(cause.origin) == Origin(TEAM, "user:ann", "root", "e-1", "00-1-2-01")


@pytest.mark.parametrize("tenant_id", [None, "not a uuid"])
@pytest.mark.parametrize("data", [requested("a"), reserve("a"), release("a")])
async def test_a_message_of_no_tenant_is_set_aside(data: EventData, tenant_id: str | None) -> None:
    intake = Desk()
    with pytest.raises(PermanentError, match="ce_tenantid"):
        await intake.when(replace(event(data), tenantid=tenant_id))
    assert (intake.logged(), intake.woken) == ([], [])


def test_every_message_about_capacity_on_its_topics_has_a_handler() -> None:
    """What it leaves out, it leaves out knowingly."""
    topics = {topic.name for topic in topics_of(SCHEDULER_QUEUE)}
    readable = {kind.type for kind in event_types().values() if kind.topic in topics}
    handled = {kind.type for kind in Desk().handlers}
    assert readable - handled == {
        "taxiway.deployment.rejected.v1",
        "taxiway.deployment.cancelled.v1",  # the deployer releases, after the pods are gone
        "taxiway.tenant.producer-key-registered.v1",
        "taxiway.tenant.producer-key-revoked.v1",
    }


def test_the_reservation_of_a_message() -> None:
    assert reservation_of(requested("a")) == reservation_of(release("a")) == identity("a")
    assert reservation_of(node("n1")) is None
