"""From a REST request to the placement event in the bench's hand, through a real ingest_api and a real scheduler."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from bench.ground import prepared
from bench.pipeline import floor, handling
from bench.pipeline.listening import Listener
from bench.pipeline.tenant import at_rate, new_tenant, one_at_a_time
from bench.pipeline.trips import Trip, median_stages
from bench.statistics import Latencies
from infra.local.platform import Platform
from infra.local.workers import CLUSTER, WorkerId
from schemas.topics import DEPLOYMENT_EVENTS, PLACEMENT_EVENTS
from services.kit.persistence import roles

P50_AIM_MS = 50.0
P99_AIM_MS = 150.0
BYSTANDERS = ("deployer", "metering", CLUSTER)
"""No part of the way: stopped once the scheduler knows the nodes, so that no rollouts run beside the measurement."""
RECORDED_AT = "SELECT input_id, recorded_at FROM inputs WHERE input_id = ANY($1)"
WARM_UP = 20
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Travel:
    """Requests under one kind of load."""

    whole: Latencies
    """Until the placement event was read."""
    answer: Latencies
    """Until the answer 202 was there."""
    stages: dict[str, float]
    """Median milliseconds per stage, in order."""
    failed: int = 0
    """Requests that were refused or had no capacity in time; they are in none of the figures above."""


@dataclass(frozen=True)
class Latency:
    """Both loads, and the floor below them."""

    idle: Travel
    """One request at a time."""
    loaded: Travel
    """Requests at a fixed rate."""
    round_trip: Latencies
    """A message through Kafka; the way has two."""
    two_commits: Latencies
    """Two transactions of one insert; the way has three."""

    @property
    def is_met(self) -> bool:
        """Whether the idle figures reach their aims."""
        return self.idle.whole.p50 < P50_AIM_MS and self.idle.whole.p99 < P99_AIM_MS


@contextmanager
def real_platform() -> Iterator[Platform]:
    """A whole platform in a folder of its own, removed when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="taxiway-bench-"))
    platform = Platform(folder)
    try:
        platform.up()
        yield platform
    finally:
        platform.destroy()


async def measure(platform: Platform, *, count: int, per_second: float, seconds: float) -> Latency:
    """`count` requests one at a time, then `seconds` of `per_second` requests, then the floor."""
    described = platform.description()
    listener = Listener(described["kafka_bootstrap"], [DEPLOYMENT_EVENTS.name, PLACEMENT_EVENTS.name])
    listener.start()
    tenant = await new_tenant(described["api_url"], described["operator_token"], listener)
    try:
        for name in BYSTANDERS:
            platform.stop(WorkerId(name))
        await one_at_a_time(tenant, WARM_UP, PAUSE_SECONDS)
        idle = await one_at_a_time(tenant, count, PAUSE_SECONDS)
        loaded, failed = await at_rate(tenant, per_second, seconds)
    finally:
        await tenant.close()
        await listener.close()
    travels = await _travel(platform, idle), await _travel(platform, loaded, failed)
    return Latency(*travels, *await _floor(platform, count))


async def _floor(platform: Platform, count: int) -> tuple[Latencies, Latencies]:
    async with prepared(platform.stack.addresses(), handling.TABLES) as ground:
        return await floor.round_trips(ground, count), await floor.two_commits(ground, count)


async def _travel(platform: Platform, trips: Sequence[Trip], failed: int = 0) -> Travel:
    return Travel(
        Latencies(tuple(trip.milliseconds for trip in trips)),
        Latencies(tuple(trip.answer_milliseconds for trip in trips)),
        median_stages(trips, await _recorded_at(platform, [trip.requested.event.id for trip in trips])),
        failed,
    )


async def _recorded_at(platform: Platform, event_ids: Sequence[str]) -> dict[str, datetime]:
    """When the scheduler wrote each event into its log of inputs, by Postgres' clock."""
    role = roles.role_name("scheduler", "worker")
    dsn = roles.dsn_for(platform.stack.addresses().postgres_dsn, role, platform.credentials.password_of(role))
    connection: Any = await asyncpg.connect(dsn)
    try:
        return {row["input_id"]: row["recorded_at"] for row in await connection.fetch(RECORDED_AT, list(event_ids))}
    finally:
        await connection.close()
