"""Each consumer group does something about every topic that it reads: what nobody handles is read for nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest

from schemas.catalogue import event_types
from schemas.topics import (
    DEPLOYER_INTAKE,
    INGEST_ADMISSION,
    INGEST_PROJECTION,
    METERING_TENANTS,
    METERING_USAGE,
    SCHEDULER_QUEUE,
    TOPICS,
    topics_of,
)
from services.deployer.handlers import handler_table as of_deployer
from services.ingest_api.handlers import admission_table, projection_table
from services.kit.messaging.dispatch import HandlerTable
from services.metering.handlers import tenant_handlers
from services.scheduler.handlers import handler_table as of_scheduler

NOTHING = cast(Any, None)
TABLES: dict[str, HandlerTable] = {
    INGEST_ADMISSION: admission_table(NOTHING, NOTHING),
    INGEST_PROJECTION: projection_table(NOTHING, NOTHING),
    SCHEDULER_QUEUE: of_scheduler(NOTHING),
    DEPLOYER_INTAKE: of_deployer(NOTHING),
    METERING_TENANTS: tenant_handlers(NOTHING),
}


def test_every_group_is_looked_at() -> None:
    """The stream of usage has one type and no table."""
    assert {group for topic in TOPICS for group in topic.groups} == {*TABLES, METERING_USAGE}


@pytest.mark.parametrize("group", TABLES)
def test_a_group_reads_the_topics_of_what_it_handles_and_no_other(group: str) -> None:
    assert TABLES[group].keys() <= set(event_types().values())
    assert {kind.topic for kind in TABLES[group]} == {topic.name for topic in topics_of(group)}
