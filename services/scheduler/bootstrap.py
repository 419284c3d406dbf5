"""Joins the scheduler's adapters to its handlers and owners."""

from __future__ import annotations

import asyncio

from schemas.topics import SCHEDULER_QUEUE
from services.kit.checkpoints import Reached, pass_by
from services.kit.clock import Clock
from services.kit.kit import Kit
from services.kit.persistence.wakeup import Listener
from services.kit.service import Component, Service
from services.kit.settings import PlatformSettings
from services.scheduler.adapters.postgres_inputs import PostgresInputLog, channel_of
from services.scheduler.adapters.postgres_pool import PostgresPoolStore
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.policies.warm import warm_up
from services.scheduler.entrypoints.owner import PoolOwner, lease_name
from services.scheduler.handlers import Intake, handler_table
from services.scheduler.settings import SchedulerSettings


def build(
    platform: PlatformSettings,
    settings: SchedulerSettings,
    *,
    clock: Clock | None = None,
    reached: Reached = pass_by,
) -> Service:
    """One scheduler process: it records what arrives, and competes for the lease of each pool. Needs a running loop.

    The consumer comes last, so that it stops first: what it recorded is still decided and sent.
    """
    warm_up(policy_named(settings.policy))  # before anything waits for it
    dsn = settings.postgres_dsn.get_secret_value()
    kit = Kit("scheduler", platform, dsn, clock=clock, reached=reached)
    wakes = {pool: asyncio.Event() for pool in settings.pools}
    components: list[Component] = []
    for pool, wake in wakes.items():
        components += [_owner(kit, settings, pool, wake), _listener(kit, pool, wake)]
    intake = Intake(PostgresInputLog(), settings.pools, lambda pool: wakes[pool].set())
    consumer = kit.consumer(SCHEDULER_QUEUE, handler_table(intake))
    return kit.run(*components, consumer, health_port=settings.health_port)


def _listener(kit: Kit, pool: str, wake: asyncio.Event) -> Component:
    return Listener(kit.database, channel_of(pool), lambda _: wake.set())


def _owner(kit: Kit, settings: SchedulerSettings, pool: str, wake: asyncio.Event) -> Component:
    owner = PoolOwner(
        pool,
        policy_named(settings.policy),
        kit.database,
        PostgresPoolStore(),
        kit.clock,
        wake,
        batch_size=settings.batch_size,
    )
    return kit.lease_loop(
        lease_name(pool),
        owner.tick,
        interval=settings.interval_seconds,
        wake=wake,
        took_over=owner.take_over,
        on_release=owner.let_go,
    )
