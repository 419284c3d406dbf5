"""What every service's `bootstrap.py` composes from: one database, one producer, and components built on them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from schemas.topics import topics_of
from services.kit.checkpoints import Reached, pass_by
from services.kit.clock import Clock, SystemClock
from services.kit.messaging.consumer import ConsumerLoop, consumer_settings
from services.kit.messaging.dead_letters import DeadLetters
from services.kit.messaging.dispatch import Authenticate, Dispatcher, HandlerTable
from services.kit.messaging.producer import ProducerBridge
from services.kit.observability import logging, tracing
from services.kit.persistence.database import Database
from services.kit.persistence.lease_loop import LeaseLoop, Tick
from services.kit.persistence.pruning import INBOX, Pruner, Retention
from services.kit.persistence.relay import Relay
from services.kit.service import Close, Component, Service
from services.kit.settings import PlatformSettings


class Kit:
    """The plumbing of one process."""

    def __init__(
        self,
        service: str,
        platform: PlatformSettings,
        postgres_dsn: str,
        *,
        clock: Clock | None = None,
        reached: Reached = pass_by,
    ) -> None:
        logging.configure(service, platform.instance, platform.log_level, as_json=platform.log_json)
        tracing.configure(service, platform.instance, platform.otlp_endpoint)
        self.service = service
        self.platform = platform
        self.source = f"/taxiway/{service}"
        self.clock = clock or SystemClock()
        self.reached = reached
        self.database = Database(postgres_dsn, self.source, clock=self.clock, reached=reached)
        self.producer = ProducerBridge(platform.kafka_bootstrap, f"{service}-{platform.instance}")
        self.holder = f"{service}-{platform.instance}@{socket.gethostname()}:{os.getpid()}"
        """Name of this process as a lease holder."""

    def consumer(self, group: str, handlers: HandlerTable, *, authenticate: Authenticate | None = None) -> Component:
        """A component that feeds the handlers with all topics of `group`."""
        dead_letters = DeadLetters(self.producer, group, self.clock)
        dispatcher = Dispatcher(
            self.database, group, handlers, dead_letters, self.clock, authenticate=authenticate, reached=self.reached
        )
        settings = consumer_settings(
            self.platform.kafka_bootstrap, group, self.platform.instance, self.platform.session_timeout_seconds
        )
        return ConsumerLoop(
            settings, [topic.name for topic in topics_of(group)], dispatcher.process, reached=self.reached
        )

    def relay(self) -> Component:
        """A component that sends what this service's handlers and loops say."""
        return Relay(self.database, self.producer, reached=self.reached)

    def lease_loop(
        self,
        name: str,
        tick: Tick,
        *,
        interval: float = 1.0,
        wake: asyncio.Event | None = None,
        took_over: Tick | None = None,
        on_release: Callable[[], None] | None = None,
    ) -> Component:
        """A component that ticks while it holds the lease `name`; `on_release` is called when it no longer does."""
        return LeaseLoop(
            self.database,
            name,
            self.holder,
            tick,
            interval=interval,
            wake=wake,
            took_over=took_over,
            on_release=on_release,
            reached=self.reached,
        )

    def run(
        self,
        *components: Component,
        health_port: int,
        retentions: Sequence[Retention] = (),
        close: Sequence[Close] = (),
    ) -> Service:
        """The process: the relay first (it stops last), then `components`, and everything closed at the end.

        `retentions` are those of the service's own tables; `close` closes what is the service's own.
        """
        return Service(
            self.service,
            [self.relay(), Pruner(self.database, [INBOX, *retentions]), *components],
            health_port=health_port,
            health_host=self.platform.health_host,
            close=[*close, self.producer.close, self.database.close],
        )
