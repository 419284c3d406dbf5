"""Scheduler processes on real Kafka and PostgreSQL: from a message to a decision, over kills and take-overs."""

from __future__ import annotations

import asyncio
import csv
import time
from functools import partial
from pathlib import Path
from uuid import UUID

from schemas.deployment import DeploymentRequested
from schemas.node import NodeObserved
from schemas.placement import (
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    PreemptionRequested,
    QueueReason,
)
from services.kit.ids import new_id
from services.kit.persistence.database import Database
from services.scheduler.adapters.postgres_inputs import PostgresInputLog
from services.scheduler.domain.policies import policy_named
from tests.fakes.scheduler.builders import entry, gpus, identity, node, release, requested, reserve, tenant
from tests.integration.scheduler.harness import ROOT, Platform, eventually

TAKE_OVER_SECONDS = 10.0
"""From the owner's death until another copy holds the pool."""
PUBLISHED = ROOT / "infra" / "demo" / "data"


def given_a_team(platform: Platform, *gpu_counts: int, limit: int = 100_000) -> tuple[UUID, str]:
    """Nodes of the platform's pool, and a tenant; returns it and a prefix for names that no other test uses."""
    team, prefix = new_id(), new_id().hex
    nodes = [node(f"{prefix}-{number}", count, pool=platform.pool) for number, count in enumerate(gpu_counts)]
    platform.tell(*nodes, tenant(team, limit))
    return team, prefix


def nodes_are_known(platform: Platform, count: int, team: UUID) -> bool:
    nodes = platform.fetch("SELECT 1 FROM nodes WHERE pool = $1 AND is_present", platform.pool)
    known = platform.fetch("SELECT 1 FROM tenants WHERE pool = $1 AND tenant_id = $2", platform.pool, team)
    return len(nodes) == count and len(known) == 1


def test_a_request_on_kafka_becomes_a_reservation_on_kafka(platform: Platform) -> None:
    team, prefix = given_a_team(platform, 4, 2)
    with platform.running():
        eventually(lambda: nodes_are_known(platform, 2, team))
        asked = requested(f"{prefix}-chat", gpus(1, 500), first=2, pool=platform.pool)
        assert isinstance(asked, DeploymentRequested)
        (input_id,) = platform.tell(asked, tenant_id=team)
        (reserved,) = platform.listening.about(asked.reservation_id)
    assert isinstance(reserved, CapacityReserved)
    assert reserved.deployment_id == asked.deployment_id
    assert {each.node for each in reserved.allocations} <= {f"{prefix}-0", f"{prefix}-1"}
    first = reserved.allocations[0]
    assert reserved.explanation.startswith(f"placed on {first.node} device {first.devices[0]}")
    assert f"{policy_named('default').idea} of 2" in reserved.explanation
    assert reserved.decision.pool == platform.pool
    assert reserved.decision.number >= 1  # the pool is asked for what other tests left on the topics, too
    assert reserved.decision.input_id == input_id
    assert reserved.decision.input_position.startswith("taxiway.deployment.events.v1/")
    said = platform.listening.heard[-1]
    assert (said.tenantid, said.causationid, said.source) == (str(team), input_id, "/taxiway/scheduler")


def test_a_killed_process_goes_on_from_postgres_alone(platform: Platform) -> None:
    team, prefix = given_a_team(platform, 2)
    held, waits, late = (f"{prefix}-{name}" for name in ("held", "waits", "late"))
    with platform.running() as first:
        eventually(lambda: nodes_are_known(platform, 1, team))
        platform.tell(reserve(held, gpus(2), pool=platform.pool), tenant_id=team)
        platform.listening.about(identity(held))
        platform.tell(reserve(waits, gpus(2), pool=platform.pool), tenant_id=team)
        assert isinstance(platform.listening.about(identity(waits))[0], CapacityQueued)
        first.kill()
        first.wait()
    platform.tell(reserve(late, gpus(4), pool=platform.pool), release(held), tenant_id=team)
    with platform.running():
        refused = platform.listening.about(identity(late))[0]
        released = platform.listening.about(identity(held), count=2)[1]
        placed = platform.listening.about(identity(waits), count=2)[1]
    assert isinstance(refused, CapacityRejected)
    assert isinstance(released, CapacityReleased)
    assert released.gpu_milli == 2000
    assert isinstance(placed, CapacityReserved)
    numbers = [row["number"] for row in platform.fetch("SELECT number FROM decisions WHERE pool = $1", platform.pool)]
    assert sorted(numbers) == [1, 2, 3, 4, 5]
    assert [len(devices) for _, devices in platform.places()] == [2]


def test_a_standby_records_for_the_owner_and_takes_over_from_it(platform: Platform) -> None:
    team, prefix = given_a_team(platform, 8)
    with platform.running("0") as owner:
        eventually(lambda: platform.holder() == "0")
        with platform.running("1"):
            eventually(lambda: nodes_are_known(platform, 1, team))
            for number in range(6):  # the deployments' partitions are spread over both copies
                platform.tell(reserve(f"{prefix}-{number}", pool=platform.pool), tenant_id=team)
            for number in range(6):
                platform.listening.about(identity(f"{prefix}-{number}"))
            assert platform.holder() == "0"
            owner.kill()
            killed = time.monotonic()
            eventually(lambda: platform.holder() == "1", seconds=15)
            assert time.monotonic() - killed < TAKE_OVER_SECONDS
            owner.wait()
            platform.tell(
                *(reserve(f"{prefix}-{number}", pool=platform.pool) for number in range(6, 9)), tenant_id=team
            )
            later = [platform.listening.about(identity(f"{prefix}-{number}"))[0] for number in range(6, 9)]
    assert sorted(type(each).__name__ for each in later) == ["CapacityQueued", "CapacityReserved", "CapacityReserved"]
    assert sorted(each.decision.number for each in later) == [7, 8, 9]
    places = [(name, device) for name, devices in platform.places() for device in devices]
    assert len(places) == len(set(places)) == 8


def test_a_new_owner_knows_all_that_the_killed_one_did(platform: Platform) -> None:
    """Parts, losses, drains and deadlines: Postgres alone tells them, and time went on meanwhile."""
    team, prefix = given_a_team(platform, 4, 2)
    cheap, dear, urgent, parts = (f"{prefix}-{name}" for name in ("cheap", "dear", "urgent", "parts"))
    ask = partial(reserve, pool=platform.pool)
    with platform.running() as first:
        eventually(lambda: nodes_are_known(platform, 2, team))
        platform.tell(ask(parts, gpus(2), replicas=2, priority=900), tenant_id=team)
        platform.listening.about(identity(parts))
        platform.tell(ask(cheap, replicas=2, priority=10, preemptible=True), tenant_id=team)
        platform.listening.about(identity(cheap))
        platform.tell(ask(dear, gpus(2), priority=500), tenant_id=team)
        (waits,) = platform.listening.about(identity(dear))
        drain = platform.listening.about(identity(cheap), count=2)[1]
        platform.tell(ask(urgent, gpus(2), priority=5, start_within_seconds=1), tenant_id=team)
        platform.listening.about(identity(urgent))
        first.kill()
        first.wait()
    platform.tell(release(cheap, 0, 1), release(parts, 1), tenant_id=team)
    with platform.running():
        placed = platform.listening.about(identity(dear), count=2)[1]
        released = platform.listening.about(identity(parts), count=2)[1]
        late = platform.listening.about(identity(urgent), count=2)[1]
    assert isinstance(waits, CapacityQueued)
    assert waits.reason is QueueReason.WAITING_FOR_PREEMPTION
    assert isinstance(drain, PreemptionRequested)
    assert (drain.claimant, drain.replicas) == (identity(dear), (0, 1))
    assert isinstance(placed, CapacityReserved)
    assert isinstance(released, CapacityReleased)
    assert (released.replicas, released.gpu_milli) == ((1,), 2000)
    assert isinstance(late, CapacityRejected)
    assert late.reason is QueueReason.DEADLINE_PASSED


def test_what_another_copy_records_wakes_the_owner(platform: Platform) -> None:
    """The owner's interval is a minute here: only the notification can bring the decision in time."""
    team, prefix = given_a_team(platform, 8)
    name = f"{prefix}-elsewhere"

    async def record_elsewhere() -> None:
        database = Database(platform.database.worker_dsn, "/taxiway/scheduler")
        async with database.unit_of_work() as work:
            await PostgresInputLog().append(work, platform.pool, entry(reserve(name, pool=platform.pool), team))
        await database.close()

    with platform.running():
        eventually(lambda: nodes_are_known(platform, 1, team))
        asyncio.run(record_elsewhere())
        (said,) = platform.listening.about(identity(name))
    assert isinstance(said, CapacityReserved)


def test_duplicates_on_the_wire_change_nothing(platform: Platform) -> None:
    team, prefix = given_a_team(platform, 8)
    name = f"{prefix}-twice"
    ask, give = reserve(name, pool=platform.pool), release(name)
    with platform.running():
        eventually(lambda: nodes_are_known(platform, 1, team))
        platform.tell(ask, ask, give, give, ask, tenant_id=team)
        said = platform.listening.about(identity(name), count=3)
        platform.tell(reserve(f"{prefix}-after", pool=platform.pool), tenant_id=team)
        platform.listening.about(identity(f"{prefix}-after"))
    assert [type(each).__name__ for each in said] == ["CapacityReserved", "CapacityReleased", "CapacityReleased"]
    assert len(platform.listening.about(identity(name), count=3)) == 3


def openb_nodes(prefix: str, pool: str) -> list[NodeObserved]:
    """The 1,213 GPU nodes of the published cluster, or as many made-up ones where its file is not there."""
    files: list[Path] = sorted(PUBLISHED.rglob("openb_node_list_gpu_node.csv"))
    if not files:
        return [node(f"{prefix}-{i}", (2, 4, 8)[i % 3], ("P100", "T4", "G2")[i % 3], pool=pool) for i in range(1213)]
    with files[0].open(newline="") as file:
        return [
            node(
                f"{prefix}-{row['sn']}",
                int(row["gpu"]),
                row["model"],
                int(row["cpu_milli"]),
                int(row["memory_mib"]),
                pool,
            )
            for row in csv.DictReader(file)
        ]


def test_1213_nodes_are_learnt_and_loaded_again(platform: Platform) -> None:
    team, prefix = given_a_team(platform)
    nodes = openb_nodes(prefix, platform.pool)
    platform.tell(*nodes)
    with platform.running() as first:
        eventually(lambda: nodes_are_known(platform, 1213, team))
        platform.tell(reserve(f"{prefix}-a", gpus(2), replicas=20, pool=platform.pool), tenant_id=team)
        (before,) = platform.listening.about(identity(f"{prefix}-a"))
        first.kill()
        first.wait()
    with platform.running():
        platform.tell(reserve(f"{prefix}-b", gpus(8), replicas=2, pool=platform.pool), tenant_id=team)
        (after,) = platform.listening.about(identity(f"{prefix}-b"))
    assert isinstance(before, CapacityReserved)
    assert isinstance(after, CapacityReserved)
    assert "feasible nodes among 1213" in after.explanation
    assert not {each.node for each in before.allocations} & {each.node for each in after.allocations}


def test_from_message_to_decision_in_well_under_a_second(platform: Platform) -> None:
    """The owner is woken, not polled: its interval alone would cost half a second on average."""
    team, prefix = given_a_team(platform, 8)
    with platform.running():
        eventually(lambda: nodes_are_known(platform, 1, team))
        seconds = []
        for number in range(8):
            started = time.monotonic()
            platform.tell(reserve(f"{prefix}-{number}", pool=platform.pool), tenant_id=team)
            platform.listening.about(identity(f"{prefix}-{number}"))
            seconds.append(time.monotonic() - started)
    assert sorted(seconds)[4] < 0.5, seconds
