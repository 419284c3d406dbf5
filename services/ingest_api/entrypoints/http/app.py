"""The REST application: conventions first, then one router a resource."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse

from services.ingest_api.entrypoints.http import docs, problems
from services.ingest_api.entrypoints.http.desk import Desk
from services.ingest_api.entrypoints.http.guard import TextGuard
from services.ingest_api.entrypoints.http.observation import BodyBound, Observation
from services.ingest_api.entrypoints.http.routers import (
    capacity,
    deployment_views,
    deployments,
    keys,
    models,
    platform,
    producers,
    questions,
    quota,
    rollouts,
    tenants,
    usage,
)

BASE = "/api/v1"
ROUTERS = (
    tenants,
    keys,
    models,
    deployment_views,
    deployments,
    rollouts,
    capacity,
    questions,
    usage,
    quota,
    producers,
    platform,
)

ABOUT = """Deploy models onto shared GPUs, follow their rollouts, report and limit usage.

Credentials: `Authorization: Bearer <token or API key>` or `X-API-Key`. Writes take an `Idempotency-Key`; usage and
holds have ids of their own instead. Errors are `application/problem+json` (RFC 9457). Times are RFC 3339, UTC. Lists
have `limit`, `cursor` and a `next` link."""


def make_app(desk: Desk) -> FastAPI:
    """The application on top of `desk`."""
    app = FastAPI(
        title="Taxiway",
        version=version("taxiway"),
        description=ABOUT,
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.desk = desk
    problems.install(app)
    app.add_middleware(TextGuard)
    app.add_middleware(BodyBound)
    app.add_middleware(Observation)
    api = APIRouter(prefix=BASE, responses=problems.RESPONSES)
    for module in ROUTERS:
        api.include_router(module.router)
    app.include_router(api)
    app.include_router(problems.router)
    app.include_router(docs.router, prefix=BASE)
    app.add_api_route("/", _home, include_in_schema=False)
    return app


async def _home() -> RedirectResponse:
    """The documentation."""
    return RedirectResponse(f"{BASE}/docs")
