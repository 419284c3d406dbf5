"""The control API: apply and read workloads, routes, behaviours, settings, measurements.

GET    /healthz, /nodes, /status, /settings
PUT    /nodes/{name}                 {"failed_devices": [1], "is_cordoned": true, …}: change, add or bring back a node
DELETE /nodes/{name}                 the node is gone, and its pods with it
POST   /deployments/query            {"ids": […]}: workloads and route of each
PUT    /workloads/{d}/{revision}     ?if_version=N (0 = absent); 409 when it is another
DELETE /workloads/{d}/{revision}
PUT    /routes/{d}                   {"weights": {"1": 90, "2": 10}} ?if_generation=N; no weights = no route
GET    /behaviours/{model}/{version}   and PUT
GET    /metrics                      Prometheus text of the gateway
GET    /metrics/{d}                  ?since=…&until=… (RFC 3339): requests, errors, latency_p99_ms by revision
PUT    /settings                     any of the fields of `SimulatorSettings`
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from aiohttp import web
from pydantic import ValidationError

from infra.local.simulators.behaviour import Behaviour, Behaviours
from infra.local.simulators.gateway import SimulatedGateway
from infra.local.simulators.measurements import Measurements
from infra.local.simulators.nodes import Nodes
from infra.local.simulators.routes import Routes, Shares
from infra.local.simulators.settings import SimulatorSettings
from infra.local.simulators.workloads import ConflictError, Workloads, WorkloadSpec

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALWAYS_ANSWERED = ("/settings", "/healthz", "/status", "/behaviours")


class ControlApi:
    """The control API over the parts of the simulated cluster."""

    def __init__(
        self,
        nodes: Nodes,
        settings: SimulatorSettings,
        behaviours: Behaviours,
        workloads: Workloads,
        routes: Routes,
        measurements: Measurements,
        gateway: SimulatedGateway,
    ) -> None:
        self._nodes = nodes
        self._settings = settings
        self._behaviours = behaviours
        self._workloads = workloads
        self._routes = routes
        self._measurements = measurements
        self._gateway = gateway

    def application(self) -> web.Application:
        """The API as an aiohttp application."""
        app = web.Application(middlewares=[self._guard], client_max_size=16 * 2**20)
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/nodes", self._list_nodes),
                web.put("/nodes/{name}", self._put_node),
                web.delete("/nodes/{name}", self._remove_node),
                web.get("/status", self._status),
                web.get("/settings", self._get_settings),
                web.put("/settings", self._put_settings),
                web.post("/deployments/query", self._query),
                web.put("/workloads/{deployment}/{revision:[0-9]+}", self._apply),
                web.delete("/workloads/{deployment}/{revision:[0-9]+}", self._delete),
                web.put("/routes/{deployment}", self._write_route),
                web.get("/behaviours/{model}/{version}", self._get_behaviour),
                web.put("/behaviours/{model}/{version}", self._put_behaviour),
                web.get("/metrics", self._prometheus),
                web.get("/metrics/{deployment}", self._measure),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Faults that were asked for, and errors as answers."""
        is_route = request.path.startswith("/routes/")
        if not request.path.startswith(ALWAYS_ANSWERED) and (
            self._settings.refuses_all or (self._settings.refuses_routes and is_route)
        ):
            return web.json_response({"error": "refused, as the settings ask"}, status=503)
        try:
            return await handler(request)
        except ConflictError as conflict:
            return web.json_response({"error": str(conflict)}, status=409)
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
            return web.json_response({"error": f"cannot read the request: {error}"}, status=422)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def _list_nodes(self, _: web.Request) -> web.Response:
        return web.json_response({"nodes": [node.as_json() for node in self._nodes.listed()]})

    async def _put_node(self, request: web.Request) -> web.Response:
        return web.json_response(self._nodes.put(request.match_info["name"], await request.json()).as_json())

    async def _remove_node(self, request: web.Request) -> web.Response:
        self._nodes.remove(request.match_info["name"])
        return web.json_response({})

    async def _status(self, _: web.Request) -> web.Response:
        pods = self._workloads.pods()
        ready = sum(pod.is_ready for pod in pods)
        return web.json_response({"pods": len(pods), "ready": ready, "overcommits": self._workloads.overcommits})

    async def _get_settings(self, _: web.Request) -> web.Response:
        return web.json_response(self._settings.model_dump())

    async def _put_settings(self, request: web.Request) -> web.Response:
        fresh = SimulatorSettings.model_validate({**self._settings.model_dump(), **await request.json()})
        for name, value in fresh:  # in place: pods and routes hold this object
            setattr(self._settings, name, value)
        return web.json_response(self._settings.model_dump())

    async def _query(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response({"deployments": {str(name): self._deployment(str(name)) for name in asked["ids"]}})

    def _deployment(self, deployment: str) -> dict[str, object]:
        route = self._routes.get(deployment)
        workloads = self._workloads.of(deployment)
        return {
            "workloads": [workload.as_json(revision) for revision, workload in sorted(workloads.items())],
            "route": route.as_json() if route else None,
        }

    async def _apply(self, request: web.Request) -> web.Response:
        spec = WorkloadSpec.model_validate_json(await request.read())
        deployment, revision = _workload_of(request)
        self._workloads.apply((deployment, revision), spec, int(request.query["if_version"]))
        return web.json_response(self._deployment(deployment))

    async def _delete(self, request: web.Request) -> web.Response:
        deployment, revision = _workload_of(request)
        self._workloads.delete((deployment, revision))
        return web.json_response(self._deployment(deployment))

    async def _write_route(self, request: web.Request) -> web.Response:
        deployment = request.match_info["deployment"]
        weights = _shares(json.loads(await request.read())["weights"])
        self._routes.write(deployment, weights, int(request.query["if_generation"]))
        return web.json_response(self._deployment(deployment))

    async def _get_behaviour(self, request: web.Request) -> web.Response:
        found = self._behaviours.get(request.match_info["model"], request.match_info["version"])
        return web.json_response(found.model_dump())

    async def _put_behaviour(self, request: web.Request) -> web.Response:
        behaviour = Behaviour.model_validate_json(await request.read())
        self._behaviours.put(request.match_info["model"], request.match_info["version"], behaviour)
        return web.json_response(behaviour.model_dump())

    async def _prometheus(self, _: web.Request) -> web.Response:
        return web.Response(body=self._gateway.metrics(), headers={"content-type": "text/plain; version=0.0.4"})

    async def _measure(self, request: web.Request) -> web.Response:
        since = _moment(request.query["since"])
        until = _moment(request.query["until"]) if "until" in request.query else time.time()
        found = self._measurements.within(request.match_info["deployment"], since, until)
        return web.json_response({"revisions": {str(revision): item for revision, item in found.items()}})


def _workload_of(request: web.Request) -> tuple[str, int]:
    return request.match_info["deployment"], int(request.match_info["revision"])


def _shares(weights: dict[str, int]) -> Shares:
    """Shares of 0 are left out; raises ValueError for a negative one."""
    shares = {int(revision): int(weight) for revision, weight in weights.items()}
    if any(weight < 0 for weight in shares.values()):
        raise ValueError("a weight is negative")
    return {revision: weight for revision, weight in shares.items() if weight}


def _moment(text: str) -> float:
    """Seconds of the epoch; raises ValueError for what is no RFC 3339 time with its offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time needs its offset")
    return moment.timestamp()
