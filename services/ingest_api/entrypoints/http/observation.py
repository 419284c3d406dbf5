"""Around every request: a trace, which its log lines name, a metric, and the bound on the body. Plain ASGI."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry import trace
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit.observability import metrics, tracing

MAX_BODY_BYTES = 1024 * 1024
"""Four times the largest usage record; everything else is far smaller."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "_OTHER"
"""For all others (OpenTelemetry's word): anybody can invent any number of methods, and each would be a series."""


class Observation:
    """Middleware: sets `trace_id` in the request's state, and answers with it in `X-Trace-Id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request in a trace: the caller's, or a fresh one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        outcome = {"status": 500}
        with tracing.serving(scope["method"], Headers(scope=scope).get("traceparent")) as span:
            trace_id = f"{span.get_span_context().trace_id:032x}"
            scope.setdefault("state", {})["trace_id"] = trace_id
            try:
                await self._app(scope, receive, _noting(send, outcome, trace_id))
            finally:
                _observe(scope, span, outcome["status"], time.perf_counter() - started)


def _noting(send: Send, outcome: dict[str, int], trace_id: str) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            outcome["status"] = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-trace-id", trace_id.encode())]}
        await send(message)

    return noting


def _observe(scope: Scope, span: trace.Span, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
    span.update_name(f"{method} {route}")
    span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
    metrics.HTTP_SECONDS.labels(method, route, str(status)).observe(seconds)


class BodyTooLargeError(HTTPException):
    """The body is larger than the bound; the web framework lets its own kind of exception through."""

    def __init__(self) -> None:
        super().__init__(413, f"A body may have up to {MAX_BODY_BYTES} bytes.")


class BodyBound:
    """Middleware: no more of a body is read than the bound, whatever its Content-Length says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, counting its body."""
        await self._app(scope, _counting(scope, receive) if scope["type"] == "http" else receive, send)


def _counting(scope: Scope, receive: Receive) -> Receive:
    announced: Any = Headers(scope=scope).get("content-length", "0")
    seen = int(announced) if announced.isdigit() and int(announced) > MAX_BODY_BYTES else 0

    async def counting() -> Message:
        nonlocal seen
        if seen > MAX_BODY_BYTES:
            raise BodyTooLargeError
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise BodyTooLargeError
        return message

    return counting
