"""One pod: a real HTTP model server on a port of its own, that takes time to load and ends in an orderly way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass

from aiohttp import web

from infra.local.simulators.behaviour import Behaviours
from infra.local.simulators.settings import SimulatorSettings

LOOPBACK = "127.0.0.1"
DEFAULT_OUTPUT_TOKENS = 16
SUDDENLY_SECONDS = 0.01
"""How long requests of a pod that dies go on: aiohttp takes 0 for no limit."""


@dataclass(frozen=True)
class PodSpec:
    """What a pod runs, and where."""

    deployment: str
    revision: int
    model: str
    version: str
    node: str
    devices: tuple[int, ...]
    gpu_milli: int


class SimulatedPod:
    """A model server: `/healthz`, `/v1/infer`, `/metrics`."""

    def __init__(self, name: str, spec: PodSpec, behaviours: Behaviours, settings: SimulatorSettings) -> None:
        self.name = name
        self.spec = spec
        self.is_broken = False
        """Whether a device under it does not work."""
        self.port = 0
        """Where it listens; 0 before it does."""
        self._behaviours = behaviours
        self._settings = settings
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._requests = 0
        self._errors = 0
        self._ending = asyncio.Event()
        self._is_loaded = False
        self._dead = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests: loaded, not about to end, and on devices that work."""
        return self._is_loaded and not self.is_broken and not self._ending.is_set()

    def die(self) -> None:
        """Its node is gone, and it with its requests."""
        self._dead.set()
        self._ending.set()

    def end(self) -> None:
        """Take no more requests, finish those in flight, then be gone."""
        self._ending.set()

    async def run(self) -> None:
        """Listen, load, serve, and return when gone."""
        server = web.Server(self._answer)
        listener = await asyncio.get_running_loop().create_server(server, LOOPBACK, 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            await self._load()
            await self._ending.wait()
            await self._drain()
        finally:
            listener.close()
            await server.shutdown(timeout=SUDDENLY_SECONDS if self._dead.is_set() else 1)

    async def _drain(self) -> None:
        """Finish what is in flight, unless the pod dies meanwhile."""
        waits = [asyncio.create_task(self._finish()), asyncio.create_task(self._dead.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _finish(self) -> None:
        await asyncio.sleep(self._settings.drain_seconds)
        await self._idle.wait()

    async def _load(self) -> None:
        behaviour = self._behaviours.get(self.spec.model, self.spec.version)
        seconds = self._settings.load_seconds if behaviour.load_seconds is None else behaviour.load_seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        self._is_loaded = True

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/v1/infer" and request.method == "POST":
            return await self._infer(request)
        if request.path == "/healthz":
            return web.json_response({"ready": self.is_ready}, status=200 if self.is_ready else 503)
        if request.path == "/metrics":
            return web.Response(text=self._metrics())
        return web.json_response({"error": "not found"}, status=404)

    async def _infer(self, request: web.BaseRequest) -> web.Response:
        self._in_flight += 1
        self._idle.clear()
        try:
            try:
                asked = json.loads(await request.read() or b"{}")
                tokens = _tokens(asked)
            except (ValueError, TypeError, AttributeError):
                return web.json_response({"error": "the body must be a JSON object"}, status=400)
            await asyncio.sleep(self._behaviours.get(self.spec.model, self.spec.version).latency_ms / 1000)
            return self._completion(tokens)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    def _completion(self, tokens: tuple[int, int]) -> web.Response:
        self._requests += 1
        if self._behaviours.fails_now(self.spec.model, self.spec.version):
            self._errors += 1
            return web.json_response({"error": "the model failed"}, status=500)
        return web.json_response(
            {
                "model": self.spec.model,
                "version": self.spec.version,
                "revision": self.spec.revision,
                "pod": self.name,
                "input_tokens": tokens[0],
                "output_tokens": tokens[1],
            }
        )

    def _metrics(self) -> str:
        labels = f'model="{self.spec.model}",version="{self.spec.version}",pod="{self.name}"'
        return (
            "# TYPE model_requests_total counter\n"
            f"model_requests_total{{{labels}}} {self._requests}\n"
            "# TYPE model_errors_total counter\n"
            f"model_errors_total{{{labels}}} {self._errors}\n"
            "# TYPE model_requests_in_flight gauge\n"
            f"model_requests_in_flight{{{labels}}} {self._in_flight}\n"
        )


def _tokens(asked: dict[str, object]) -> tuple[int, int]:
    """Input and output tokens: the words of `prompt`, and `max_tokens`."""
    return len(str(asked.get("prompt", "")).split()), int(str(asked.get("max_tokens", DEFAULT_OUTPUT_TOKENS)))
