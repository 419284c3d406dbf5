"""`/metrics`, `/healthz` and `/readyz` on a port of their own.

`/healthz` answers for the loops, not for the process: each beats, and one that has not for too long is named.
"""

from __future__ import annotations

import asyncio
import time

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

STALE_SECONDS = 30.0

_heartbeats: dict[str, Heartbeat] = {}


class Heartbeat:
    """The sign of life of one loop; registered under its name."""

    def __init__(self, name: str, stale_seconds: float = STALE_SECONDS) -> None:
        self.name = name
        self._stale_seconds = stale_seconds
        self._failure: str | None = None
        self._last = time.monotonic()
        _heartbeats[name] = self

    def beat(self) -> None:
        """The loop is alive."""
        self._last = time.monotonic()

    def fail(self, reason: str) -> None:
        """The loop has stopped for good, and a person must look."""
        self._failure = reason

    def end(self) -> None:
        """The loop was stopped on purpose."""
        _heartbeats.pop(self.name, None)

    def complaint(self) -> str | None:
        """What is wrong with the loop; None when nothing is."""
        if self._failure:
            return f"{self.name}: {self._failure}"
        silent = time.monotonic() - self._last
        return f"{self.name}: no heartbeat for {silent:.0f} s" if silent > self._stale_seconds else None


def complaints() -> list[str]:
    """What is wrong with any loop of this process."""
    return [text for beat in _heartbeats.values() if (text := beat.complaint())]


class HealthServer:
    """A component that serves metrics and health on loopback or, in a cluster, on all addresses."""

    name = "health"

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port = port
        self._host = host
        self.ready = False
        """Whether the service takes work: set after start, unset first at SIGTERM."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping`."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, self._host, self._port).start()
        await stopping.wait()
        await runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        wrong = complaints()
        return web.json_response({"ok": not wrong, "complaints": wrong}, status=503 if wrong else 200)

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.json_response({"ready": self.ready}, status=200 if self.ready else 503)
