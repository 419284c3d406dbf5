"""A process of Taxiway: components started in order, stopped in reverse at SIGTERM.

SIGTERM: not ready → stop taking work → finish what is in flight → commit → flush → leave. The order is the list's:
what delivers (the relay) comes first and stops last.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from loguru import logger

from services.kit import garbage
from services.kit.observability.health import HealthServer

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the others from running Python. Beside the loop threads decide and poll; with Python's own
5 ms the loop waited so long for its turn after each answer of a database, some ten times a batch."""
DRAIN_SECONDS = 25.0
"""How long one component may take to drain; then it is cancelled."""


Close = Callable[[], Awaitable[None]]
"""Closes something for good."""


class Component(Protocol):
    """Something that runs in a process until it is told to stop."""

    name: str

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`, drain, return. An exception ends the process."""


class Service:
    """Runs components until SIGTERM or SIGINT, or until one of them fails."""

    def __init__(
        self,
        name: str,
        components: Sequence[Component],
        *,
        health_port: int = 0,
        health_host: str = "127.0.0.1",
        close: Sequence[Close] = (),
    ) -> None:
        self.name = name
        self._components = list(components)
        self._health = HealthServer(health_port, health_host) if health_port else None
        self._close = close
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Run to the end; returns the exit status: 0 after a signal, 1 after a failure."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        components = [*([self._health] if self._health else []), *self._components]
        running = [_Running(component) for component in components]
        if self._health:
            self._health.ready = True
        garbage.settle()
        sys.setswitchinterval(SWITCH_SECONDS)
        logger.info("{}: started", self.name)
        failed = await self._until_told(running)
        if self._health:
            self._health.ready = False
        for component in reversed(running):
            failed |= await component.stop()
        for close in self._close:
            await close()
        logger.info("{}: stopped", self.name)
        return int(failed)

    async def _until_told(self, running: Sequence[_Running]) -> bool:
        told = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({told, *(component.task for component in running)}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        return not self._stopping.is_set()


class _Running:
    """A component under way, with its own signal to stop."""

    def __init__(self, component: Component) -> None:
        self.component = component
        self.stopping = asyncio.Event()
        self.task = asyncio.create_task(component.run(self.stopping), name=component.name)

    async def stop(self) -> bool:
        """Tell it, wait for it; returns whether it failed."""
        self.stopping.set()
        await asyncio.wait({self.task}, timeout=DRAIN_SECONDS)
        if not self.task.done():
            logger.error("{}: did not drain within {} s", self.component.name, DRAIN_SECONDS)
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=5)
            return True
        error = None if self.task.cancelled() else self.task.exception()
        if error is not None:
            logger.opt(exception=error).error("{}: failed", self.component.name)
        return error is not None
