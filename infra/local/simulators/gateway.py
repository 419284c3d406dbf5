"""The simulated gateway: splits real loopback requests by route weight among ready pods, and measures them."""

from __future__ import annotations

import time
from collections import Counter
from http import HTTPStatus

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as MetricCounter

from infra.local.simulators.measurements import Measurements, Sample
from infra.local.simulators.pod import LOOPBACK, SimulatedPod
from infra.local.simulators.routes import Routes
from infra.local.simulators.workloads import Workloads

CONNECTIONS_PER_POD = 64
REVISION_HEADER = "x-taxiway-revision"


class SimulatedGateway:
    """`POST /{deployment_id}/v1/infer`; a share without a ready pod is answered 503, as the Gateway API has it."""

    def __init__(self, workloads: Workloads, routes: Routes, measurements: Measurements) -> None:
        self._workloads = workloads
        self._routes = routes
        self._measurements = measurements
        self._turns: Counter[tuple[str, int]] = Counter()
        self._session: aiohttp.ClientSession | None = None
        self._registry = CollectorRegistry()
        labels = ["deployment", "revision"]
        self._count = MetricCounter(
            "simulated_gateway_requests", "Requests by outcome", [*labels, "code"], registry=self._registry
        )
        self._seconds = Histogram(
            "simulated_gateway_latency_seconds", "Time to the answer", labels, registry=self._registry
        )

    def metrics(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self._registry)

    async def open(self) -> None:
        """Prepare to call pods; needs a running loop."""
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_POD, keepalive_timeout=5)
        self._session = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        """Close the connections to the pods."""
        if self._session:
            await self._session.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Pass one request on to a pod, and its answer back."""
        deployment, _, rest = request.path.strip("/").partition("/")
        if rest != "v1/infer" or request.method != "POST":
            return _problem(HTTPStatus.NOT_FOUND, "POST /{deployment_id}/v1/infer is all there is")
        route = self._routes.get(deployment)
        revision = route.choose() if route else None
        if revision is None:
            return _problem(HTTPStatus.NOT_FOUND, f"no route for deployment {deployment}")
        started = time.perf_counter()
        response = await self._pass_on(request, deployment, revision)
        self._note(deployment, revision, response.status, time.perf_counter() - started)
        response.headers[REVISION_HEADER] = str(revision)
        return response

    async def _pass_on(self, request: web.BaseRequest, deployment: str, revision: int) -> web.Response:
        body = await request.read()
        pods = self._workloads.ready_pods(deployment, revision)
        if not pods or self._session is None:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, f"revision {revision} has no ready endpoint")
        self._turns[deployment, revision] += 1
        pod: SimulatedPod = pods[self._turns[deployment, revision] % len(pods)]
        try:
            async with self._session.post(f"http://{LOOPBACK}:{pod.port}/v1/infer", data=body) as answer:
                content = await answer.read()
                return web.Response(body=content, status=answer.status, content_type="application/json")
        except (aiohttp.ClientError, OSError) as error:
            return _problem(HTTPStatus.BAD_GATEWAY, f"pod {pod.name}: {type(error).__name__}")

    def _note(self, deployment: str, revision: int, status: int, seconds: float) -> None:
        is_error = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self._measurements.add(deployment, revision, Sample(time.time(), seconds * 1000, is_error))
        self._count.labels(deployment, str(revision), str(status)).inc()
        self._seconds.labels(deployment, str(revision)).observe(seconds)


def _problem(status: HTTPStatus, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
