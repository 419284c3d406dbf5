"""Joins the deployer's adapters to its handlers and owners."""

from __future__ import annotations

import asyncio

from schemas.topics import DEPLOYER_INTAKE
from services.deployer.adapters.postgres_intake import CHANNEL, PostgresIntake
from services.deployer.adapters.postgres_nodes import PostgresNodeStore
from services.deployer.adapters.postgres_rollouts import PostgresRolloutStore
from services.deployer.adapters.simulated import SimulatedCluster
from services.deployer.entrypoints.bell import Bell
from services.deployer.entrypoints.nodes import NODES_LEASE, NodeOwner
from services.deployer.entrypoints.rollouts import RolloutOwner, lease_name
from services.deployer.handlers import handler_table
from services.deployer.settings import DeployerSettings
from services.kit.checkpoints import Reached, pass_by
from services.kit.clock import Clock
from services.kit.kit import Kit
from services.kit.persistence.wakeup import Listener
from services.kit.service import Component, Service
from services.kit.settings import PlatformSettings


def build(
    platform: PlatformSettings,
    settings: DeployerSettings,
    *,
    clock: Clock | None = None,
    reached: Reached = pass_by,
) -> Service:
    """One deployer process: it records what arrives, and competes for the leases of shards and nodes.

    The consumer comes last, so that it stops first: what it recorded may still be acted on.
    """
    kit = Kit("deployer", platform, settings.postgres_dsn.get_secret_value(), clock=clock, reached=reached)
    cluster = SimulatedCluster(settings.cluster_url, timeout_seconds=settings.cluster_timeout_seconds)
    wakes = [asyncio.Event() for _ in range(settings.shards)]
    bell = Bell(wakes)
    nodes = NodeOwner(PostgresNodeStore(kit.database), cluster)
    return kit.run(
        *(_owner(kit, settings, cluster, shard, wake) for shard, wake in enumerate(wakes)),
        kit.lease_loop(NODES_LEASE, nodes.tick, interval=settings.nodes_interval_seconds),
        bell,
        Listener(kit.database, CHANNEL, lambda _: bell.rung.set()),
        kit.consumer(DEPLOYER_INTAKE, handler_table(PostgresIntake(bell.rung.set))),
        health_port=settings.health_port,
        close=[cluster.close],
    )


def _owner(
    kit: Kit, settings: DeployerSettings, cluster: SimulatedCluster, shard: int, wake: asyncio.Event
) -> Component:
    owner = RolloutOwner(
        shard,
        PostgresRolloutStore(kit.database, settings.shards),
        cluster,
        cluster,
        kit.clock,
        settings.limits,
        wake=wake,
        resync_seconds=settings.resync_seconds,
    )
    return kit.lease_loop(
        lease_name(shard), owner.tick, interval=settings.interval_seconds, wake=wake, on_release=owner.let_go
    )
