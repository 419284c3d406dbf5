"""`/metrics`, `/healthz` and `/readyz` on a port of their own.

`/healthz` answers for the loops, not for the process: each beats, and one that has not for too long is named. It fails
for what a restart may mend. A loop that stopped for a person to look is named too, but does not fail it: a restart
would only repeat what stopped it. `/readyz` says whether the process takes work, between its start and SIGTERM. It does
not ask for what all copies need: were Postgres away, all would be not ready at once, and a caller would find nobody
instead of a 503 that says when to come back. `taxiway_breaker_open` tells what is away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

STALE_SECONDS = 30.0
CLOSE_SECONDS = 2.0
"""How long an open request may hold up the end."""

_heartbeats: dict[str, Heartbeat] = {}


class Heartbeat:
    """The sign of life of one loop; registered under its name."""

    def __init__(
        self, name: str, stale_seconds: float = STALE_SECONDS, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._stale_seconds = stale_seconds
        self._monotonic = monotonic
        self._stopped: str | None = None
        self._last = monotonic()
        _heartbeats[name] = self

    def beat(self) -> None:
        """The loop is alive."""
        self._last = self._monotonic()

    def rest(self, seconds: float) -> None:
        """The loop is alive and will be silent for so long on purpose, unless something wakes it."""
        self._last = self._monotonic() + seconds

    def stop(self, reason: str) -> None:
        """The loop has stopped for good, and a person must look."""
        self._stopped = reason

    def end(self) -> None:
        """The loop was stopped on purpose."""
        if _heartbeats.get(self.name) is self:
            del _heartbeats[self.name]

    def complaint(self) -> str | None:
        """What is wrong with the loop; None when nothing is."""
        silent = self._monotonic() - self._last
        is_missed = self._stopped is None and silent > self._stale_seconds
        return f"{self.name}: no heartbeat for {silent:.0f} s" if is_missed else None

    @property
    def stopped(self) -> str | None:
        """Why the loop has stopped; None while it runs."""
        return None if self._stopped is None else f"{self.name}: {self._stopped}"


def complaints() -> list[str]:
    """What is wrong with any loop of this process."""
    return [text for beat in list(_heartbeats.values()) if (text := beat.complaint())]


def stopped() -> list[str]:
    """Which loops of this process have stopped until a person looks, and why."""
    return [text for beat in list(_heartbeats.values()) if (text := beat.stopped)]


class HealthServer:
    """A component that serves metrics and health on loopback or, in a cluster, on all addresses."""

    name = "health"

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port = port
        self._host = host
        self.ready = False
        """Whether the service takes work: set after start, unset first at SIGTERM."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping`; raises `OSError` when the port is taken."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=CLOSE_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            await stopping.wait()
        finally:
            await runner.cleanup()

    def application(self) -> web.Application:
        """The three routes."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        wrong = complaints()
        body = {"ok": not wrong, "complaints": wrong, "stopped": stopped()}
        return web.json_response(body, status=503 if wrong else 200)

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.json_response({"ready": self.ready}, status=200 if self.ready else 503)
