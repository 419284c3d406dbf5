"""Drives stores as the scheduler does: handlers record, an owner takes over and applies, and what is stored is read."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from schemas.base import EventData
from services.kit.clock import HeldClock
from services.kit.persistence.leases import Lease
from services.scheduler.domain.apply import apply
from services.scheduler.domain.decision import is_numbered
from services.scheduler.domain.model import Input
from services.scheduler.domain.policies import Policy, policy_named
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.entrypoints.owner import PoolOwner
from tests.contract.scheduler.conftest import Stores
from tests.fakes.scheduler.builders import NOW, entry

DEFAULT = policy_named("best_fit")
"""Not `default`: what is stored, and not what is chosen, is the matter here."""


async def told(stores: Stores, *messages: EventData, pool: str = "default") -> list[Input]:
    """Record them in the pool's log."""
    entries = [entry(data) for data in messages]
    async with stores.unit_of_work() as work:
        for each in entries:
            await stores.inputs.append(work, pool, each)
    return entries


async def run(stores: Stores, batch_size: int = 200, pool: str = "default", policy: Policy = DEFAULT) -> Lease:
    """An owner takes over and applies all there is."""
    wake = asyncio.Event()
    owner = PoolOwner(pool, policy, stores, stores.pools, HeldClock(NOW), wake, batch_size=batch_size)
    lease = await stores.lease(f"pool:{pool}")
    await owner.take_over(lease)
    wake.set()
    while wake.is_set():
        wake.clear()
        await owner.tick(lease)
    return lease


async def load(stores: Stores, pool: str = "default", policy: Policy = DEFAULT) -> Snapshot:
    """The pool as a new owner would find it."""
    async with stores.unit_of_work() as work:
        build = await stores.pools.load(work, pool, policy)
    return build()


def in_memory(entries: list[Input], policy: Policy = DEFAULT, at: datetime = NOW) -> Snapshot:
    """The pool as one that never stored anything knows it after these inputs."""
    snapshot = Snapshot("default", policy)
    outcomes = [outcome for each in entries for outcome in apply(snapshot, each, at)]
    snapshot.decided = sum(is_numbered(outcome) for outcome in outcomes)
    return snapshot


def content(snapshot: Snapshot) -> dict[str, Any]:
    """All that a snapshot says."""
    cluster = snapshot.cluster
    return {
        "nodes": cluster.nodes,
        "free": [array.tolist() for array in (cluster.cpu_free, cluster.memory_free, cluster.gpu_free)],
        "devices": [array.tolist() for array in (cluster.device_free, cluster.device_slices, cluster.device_held)],
        "tenants": snapshot.tenants,
        "reservations": snapshot.reservations,
        "known": (snapshot.timed, snapshot.drainable, snapshot.of_deployment),
        "queue": list(snapshot.queue),
        "claims": snapshot.claims,
        "held": {tenant_id: dict(+held) for tenant_id, held in snapshot.shares.held.items() if +held},
        "reached": (snapshot.applied, snapshot.decided),
        "policy": (snapshot.chooser.memory, snapshot.memory_at, snapshot.now),
    }
