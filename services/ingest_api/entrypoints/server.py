"""The REST server as a component: uvicorn inside our own process, without signal handlers of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from services.ingest_api.entrypoints.bell import Bell

DRAIN_SECONDS = 20
"""How long requests under way may take once the process was told to leave."""


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class RestServer:
    """A component that serves `app`."""

    name = "rest"

    def __init__(self, app: Any, host: str, port: int, bell: Bell) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        self._server = _Server(config)
        self._bell = bell

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping`; then let those who wait go, finish what is in flight, close. Raises OSError."""
        serving = asyncio.create_task(self._server.serve())
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        self._bell.close()
        self._server.should_exit = True
        await serving
